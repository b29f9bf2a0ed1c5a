/*
 * Runs the tests: all of test/, or the given files and folders. The last line of the output is
 * `N passed, N failed` (with `, N skipped` if there are any); the exit code is 0 only if none
 * failed.
 *
 *   node test/run.ts [--reporter NAME] [--grep TEXT] [--slowest N] [FILE|FOLDER...]
 *
 * `--slowest` prints the N files that take longest.
 */
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
const report = await runAll();
printSlowest(Number(values.slowest ?? 0));
// A handle that a test left open must not keep the process alive.
process.stdout.write(`${report.line}\n`, () =>
  process.exit(report.failed === 0 && report.passed > 0 ? 0 : 1),
);

async function runAll(): Promise<{ line: string; passed: number; failed: number }> {
  let [passed, failed, skipped] = [0, 0, 0];
  try {
    await mocha.loadFilesAsync();
    await new Promise<void>((resolve) => {
      const runner = mocha.run(() => resolve());
      runner.on('pass', () => passed++);
      runner.on('fail', () => failed++);
      runner.on('pending', () => skipped++);
      timeFiles(runner);
    });
  } catch (thrown) {
    // A file does not load, so no test has run.
    console.error(thrown);
    failed++;
  }
  return {
    line: `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`,
    passed,
    failed,
  };
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
