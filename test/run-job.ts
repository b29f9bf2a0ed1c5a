/* Runs the test files that test/run.ts sends to this process, one after the other. */
import { runFile, type RunOptions } from './run-file.ts';

process.on('message', ({ path, options }: { path: string; options: RunOptions }) => {
  void runFile(path, options).then((result) => {
    // The output comes before the result: an empty write ends when all before it has ended.
    process.stdout.write('', () => process.stderr.write('', () => process.send!(result)));
  });
});
