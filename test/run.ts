/*
 * Runs the tests: all of test/, or the files and folders named. The last line of its output is
 * `N passed, N failed` (and `, N skipped` when there are); the exit code is 0 only when none
 * failed.
 *
 *   node test/run.ts [--reporter NAME] [--grep TEXT] [FILE|FOLDER...]
 */
import { globSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Mocha from 'mocha';

const TEST_TIMEOUT_MS = 60_000;
const root = fileURLToPath(new URL('..', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { reporter: { type: 'string', default: 'spec' }, grep: { type: 'string' } },
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

const report = await runAll();
// Everything asked for has been said: what a test left open must not keep the process.
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
    });
  } catch (thrown) {
    // A file that does not load: none of the rest was run, and that is a failure whatever they
    // hold.
    console.error(thrown);
    failed++;
  }
  return {
    line: `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`,
    passed,
    failed,
  };
}
