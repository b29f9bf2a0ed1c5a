import { runUp } from '../../lib/commands/up.ts';
import type { UpOptions } from '../../lib/commands/up-source.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import { cliPath, fakeNodePath } from './process.ts';

/**
 * `shoal up` with a small sample, and with fake nodes unless FAKE_NODE is `real`; its options come
 * as JSON.
 */
const options = JSON.parse(process.argv[2] ?? '{}') as Partial<UpOptions>;
const output = {
  out: (text: string) => void process.stdout.write(text),
  err: (text: string) => void process.stderr.write(text),
};
const real = process.env['FAKE_NODE'] === 'real';
const layers = real ? [12_000_000, 5_000_000, 70_000, 1] : [3_000_000, 70_000, 1];
const surroundings = {
  command: [process.execPath, real ? cliPath : fakeNodePath],
  sample: () => makeSampleImage('small', layers),
};
process.exit(
  await runUp({ nodes: 2, once: false, json: false, ...options }, output, surroundings).catch(
    (error: Error) => {
      output.err(`${error.message}\n`);
      return 1;
    },
  ),
);
