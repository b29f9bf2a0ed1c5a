import { threadId, workerData } from 'node:worker_threads';
import { Moved, serveLine, type LineStart } from '../../../lib/workers/line.ts';

export type SampleJob =
  | { kind: 'echo' | 'thread' | 'bytes' | 'parts' | 'spin'; value: unknown }
  | { kind: 'hold' | 'release' | 'moved?' | 'fault' | 'die' | 'say and die' };

const held: (() => void)[] = [];
let last: Uint8Array | null = null;

if (workerData === 'fails') process.exit(4);

function run(job: SampleJob, tell: (part: unknown) => void): unknown {
  switch (job.kind) {
    case 'echo':
      return job.value;
    case 'thread':
      return { value: job.value, thread: threadId };
    case 'spin': {
      const endMs = performance.now() + (job.value as number);
      while (performance.now() < endMs) last ??= null;
      return null;
    }
    case 'parts':
      for (const part of job.value as unknown[]) tell(part);
      return 'over';
    case 'bytes': {
      const bytes = new Uint8Array(job.value as number).fill(job.value as number);
      last = bytes;
      return new Moved({ bytes, wasMoved: null }, bytes.buffer);
    }
    case 'moved?':
      return last?.byteLength === 0;
    case 'hold':
      return new Promise<void>((resolve) => held.push(resolve));
    case 'release':
      for (const release of held.splice(0)) release();
      return null;
    case 'fault':
      throw new Error('a fault of ours');
    case 'say and die':
      tell('a word');
      setTimeout(() => process.exit(3), 20);
      return new Promise(() => undefined);
    case 'die':
      return process.exit(3);
  }
}

export default (line: LineStart): Promise<void> => serveLine<SampleJob>(line, run);
