import { runUp } from '../../lib/commands/up.ts';
import type { UpOptions } from '../../lib/commands/program.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import { fakeNodePath } from './process.ts';

/** `shoal up` with a small sample and with fake nodes; its options come as JSON. */
const options = JSON.parse(process.argv[2] ?? '{}') as Partial<UpOptions>;
const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
const surroundings = { command: [process.execPath, fakeNodePath], sample: () => makeSampleImage('small', [3_000_000, 70_000, 1]) };
process.exit(
  await runUp({ nodes: 2, once: false, json: false, ...options }, output, surroundings).catch((error: Error) => {
    output.err(`${error.message}\n`);
    return 1;
  }),
);
