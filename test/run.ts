/*
 * Runs the tests: all of test/, or the given files and folders. The last line of the output is
 * `N passed, N failed` (with `, N skipped` if there are any); the exit code is 0 only if none
 * failed.
 *
 *   node test/run.ts [--reporter NAME] [--grep TEXT] [--slowest N] [--jobs N] [--again N]
 *                    [FILE|FOLDER...]
 *
 * `--jobs` runs that many files side by side, each in one of as many processes: three for a run of
 * everything (two keep two cores busy, and some file only waits), otherwise one. A file
 * `*.isolated.test.ts` replaces modules and has a process of its own. `--slowest` prints the N
 * files that take longest. `--again` runs the files of failed tests once more at the end, alone, if
 * not more than N tests failed. Those that pass then count as passed and are listed as unsteady:
 * each is a defect of the test or of Shoal.
 */
import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runFile, type FileResult, type RunOptions } from './run-file.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    reporter: { type: 'string', default: 'spec' },
    grep: { type: 'string' },
    slowest: { type: 'string', default: '0' },
    jobs: { type: 'string' },
    again: { type: 'string', default: '0' },
  },
});
process.chdir(root);
process.env['PATH'] = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(delimiter);

const files = (positionals.length === 0 ? ['test'] : positionals)
  .flatMap((path) => (statSync(path).isDirectory() ? globSync(join(path, '**/*.test.ts')) : [path]))
  .sort();
const options: RunOptions = { reporter: values.reporter, grep: values.grep ?? null };
const jobs = Number(
  values.jobs ?? (positionals.length > 0 ? 1 : Math.min(3, availableParallelism() + 1)),
);

const results = new Map<string, FileResult>();
await (jobs > 1 ? runInProcesses() : runHere());
printSlowest(Number(values.slowest));
printFailures();
runFailedAgain(Number(values.again));
const [passed, failed, skipped] = [sum('passed'), sum('failed'), sum('skipped')];
const skips = skipped === 0 ? '' : `, ${skipped} skipped`;
// A handle that a test left open must not keep the process alive.
process.stdout.write(`${passed} passed, ${failed} failed${skips}\n`, () =>
  process.exit(failed === 0 && passed > 0 ? 0 : 1),
);

async function runHere(): Promise<void> {
  for (const file of files)
    results.set(
      file,
      isIsolated(file) ? await runIsolated(file) : await runFile(join(root, file), options),
    );
}

function isIsolated(file: string): boolean {
  return file.endsWith('.isolated.test.ts');
}

async function runIsolated(file: string): Promise<FileResult> {
  const child = startProcess();
  const result = await runInProcess(child, file);
  child.kill('SIGKILL');
  return result;
}

function startProcess(): ChildProcess {
  return fork(join(root, 'test/run-job.ts'), { silent: true });
}

/**
 * Each process takes the next file when it is done with one; the output of a file stays together.
 */
async function runInProcesses(): Promise<void> {
  const queue = [...files];
  const work = async (): Promise<void> => {
    let child: ChildProcess | null = null;
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      if (isIsolated(file)) {
        results.set(file, await runIsolated(file));
        continue;
      }
      child ??= startProcess();
      const result = await runInProcess(child, file);
      if (child.exitCode !== null || child.signalCode !== null) child = null;
      results.set(file, result);
    }
    child?.kill('SIGKILL');
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

/** The death of the process counts as one failed test of the file. */
async function runInProcess(child: ChildProcess, file: string): Promise<FileResult> {
  const output: Buffer[] = [];
  const keep = (data: Buffer): void => void output.push(data);
  child.stdout!.on('data', keep);
  child.stderr!.on('data', keep);
  const startMs = performance.now();
  const result = await new Promise<FileResult>((resolve) => {
    const died = (code: number | null, signal: string | null): void => {
      const failures = [`the process of the tests ended with ${signal ?? code}`];
      const seconds = (performance.now() - startMs) / 1000;
      resolve({ passed: 0, failed: 1, skipped: 0, seconds, failures });
    };
    child.once('exit', died);
    child.once('message', (message) => {
      child.off('exit', died);
      resolve(message as FileResult);
    });
    child.send({ path: join(root, file), options });
  });
  child.stdout!.off('data', keep);
  child.stderr!.off('data', keep);
  child.removeAllListeners('message');
  process.stdout.write(Buffer.concat(output));
  return result;
}

/** Replaces results by those of a second run of the files that failed; see the top of this file. */
function runFailedAgain(atMost: number): void {
  if (sum('failed') > atMost) return;
  for (const [file, result] of results) {
    if (result.failed === 0) continue;
    console.log(`\nRuns ${file} again, alone:`);
    const { status } = spawnSync(process.execPath, ['test/run.ts', file], { stdio: 'inherit' });
    if (status !== 0) continue;
    console.log(`UNSTEADY: ${result.failed} failed in ${file}, and passed alone`);
    results.set(file, { ...result, passed: result.passed + result.failed, failed: 0 });
  }
}

function printFailures(): void {
  for (const [file, { failures }] of results)
    for (const failure of failures) console.log(`\nFAILED in ${file}: ${failure}`);
}

function printSlowest(count: number): void {
  const slowest = [...results].toSorted((a, b) => b[1].seconds - a[1].seconds).slice(0, count);
  for (const [file, { seconds }] of slowest)
    console.log(`${seconds.toFixed(1).padStart(7)} s  ${file}`);
}

function sum(count: 'passed' | 'failed' | 'skipped'): number {
  return [...results.values()].reduce((total, result) => total + result[count], 0);
}
