import Mocha from 'mocha';

const TEST_TIMEOUT_MS = 60_000;

/** What mocha is told. */
export interface RunOptions {
  reporter: string;
  /** Runs only tests whose full name has this text; all when null. */
  grep: string | null;
}

/** The outcome of one test file. */
export interface FileResult {
  passed: number;
  failed: number;
  skipped: number;
  /** Wall time, hooks included. */
  seconds: number;
  /** What failed and how, a text each. */
  failures: string[];
}

/**
 * Runs the tests of one file, given by its absolute path, in this process. A file that does not
 * load counts as one failed test. A file is loaded once a process, so it cannot run twice.
 */
export async function runFile(path: string, options: RunOptions): Promise<FileResult> {
  const mocha = new Mocha({
    timeout: TEST_TIMEOUT_MS,
    forbidOnly: true,
    reporter: options.reporter,
    ...(options.grep === null ? {} : { grep: options.grep }),
  });
  mocha.addFile(path);
  const result: FileResult = { passed: 0, failed: 0, skipped: 0, seconds: 0, failures: [] };
  const startMs = performance.now();
  try {
    await mocha.loadFilesAsync();
    await new Promise<void>((resolve) => {
      const runner = mocha.run(() => resolve());
      runner.on('pass', () => result.passed++);
      runner.on('fail', (test, error) => {
        result.failed++;
        result.failures.push(`${test.fullTitle()}: ${error?.message}`);
      });
      runner.on('pending', () => result.skipped++);
    });
  } catch (thrown) {
    result.failed++;
    result.failures.push(`does not load: ${thrown instanceof Error ? thrown.stack : thrown}`);
  }
  mocha.dispose();
  result.seconds = (performance.now() - startMs) / 1000;
  return result;
}
