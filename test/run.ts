/*
 * Runs the tests: all of test/, or the given files and folders. The last line of the output is
 * `N passed, N failed` (with `, N skipped` if there are any); the exit code is 0 only if none
 * failed.
 *
 *   node test/run.ts [--reporter NAME] [--grep TEXT] [--slowest N] [--again N] [FILE|FOLDER...]
 *
 * `--slowest` prints the N files that take longest. `--again` runs the files of failed tests once
 * more at the end, each in a process of its own, if not more than N tests failed. Those that pass
 * then count as passed and are listed as unsteady: each is a defect of the test or of Shoal.
 */
import { spawnSync } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Mocha from 'mocha';

const TEST_TIMEOUT_MS = 60_000;
const root = fileURLToPath(new URL('..', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    reporter: { type: 'string', default: 'spec' },
    grep: { type: 'string' },
    slowest: { type: 'string' },
    again: { type: 'string', default: '0' },
  },
});
process.chdir(root);
process.env['PATH'] = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(delimiter);

const files = (positionals.length === 0 ? ['test'] : positionals)
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(join(path, '**/*.test.ts')) : [path]))
  .sort();
const mocha = new Mocha({
  timeout: TEST_TIMEOUT_MS,
  forbidOnly: true,
  reporter: values.reporter,
  ...(values.grep === undefined ? {} : { grep: values.grep }),
});
for (const file of files) mocha.addFile(join(root, file));

const secondsOf = new Map<string, number>();
/** Files with a failed test, and how many failed in each. */
const failedIn = new Map<string, number>();
const report = await runAll();
printSlowest(Number(values.slowest ?? 0));
runFailedAgain(Number(values.again));
const skips = report.skipped === 0 ? '' : `, ${report.skipped} skipped`;
// A handle that a test left open must not keep the process alive.
process.stdout.write(`${report.passed} passed, ${report.failed} failed${skips}\n`, () =>
  process.exit(report.failed === 0 && report.passed > 0 ? 0 : 1),
);

async function runAll(): Promise<{ passed: number; failed: number; skipped: number }> {
  let [passed, failed, skipped] = [0, 0, 0];
  try {
    await mocha.loadFilesAsync();
    await new Promise<void>((resolve) => {
      const runner = mocha.run(() => resolve());
      runner.on('pass', () => passed++);
      runner.on('fail', (test) => {
        failed++;
        const file = test.file ?? test.parent?.file;
        if (file !== undefined) failedIn.set(file, (failedIn.get(file) ?? 0) + 1);
      });
      runner.on('pending', () => skipped++);
      timeFiles(runner);
    });
  } catch (thrown) {
    // A file does not load, so no test has run.
    console.error(thrown);
    failed++;
  }
  return { passed, failed, skipped };
}

/** Corrects `report` by a second run of the files that failed; see the top of this file. */
function runFailedAgain(atMost: number): void {
  if (report.failed === 0 || report.failed > atMost) return;
  for (const [path, failures] of failedIn) {
    const file = relative(root, path);
    console.log(`\nRuns ${file} again, alone:`);
    const { status } = spawnSync(process.execPath, ['test/run.ts', file], { stdio: 'inherit' });
    if (status !== 0) continue;
    report.passed += failures;
    report.failed -= failures;
    console.log(`UNSTEADY: ${failures} failed in ${file}, and passed alone`);
  }
}

/** Adds up the wall time of each file's top-level suites, hooks included. */
function timeFiles(runner: Mocha.Runner): void {
  let startMs = 0;
  runner.on('suite', (suite) => {
    if (suite.parent?.root === true) startMs = performance.now();
  });
  runner.on('suite end', (suite) => {
    if (suite.parent?.root !== true || suite.file === undefined) return;
    const file = relative(root, suite.file);
    const seconds = (performance.now() - startMs) / 1000;
    secondsOf.set(file, (secondsOf.get(file) ?? 0) + seconds);
  });
}

function printSlowest(count: number): void {
  const slowest = [...secondsOf].toSorted((a, b) => b[1] - a[1]).slice(0, count);
  for (const [file, seconds] of slowest)
    console.log(`${seconds.toFixed(1).padStart(7)} s  ${file}`);
}
