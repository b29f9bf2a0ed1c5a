import { workerData } from 'node:worker_threads';
import { Arena, type ArenaShared } from '../io/arena.ts';
import { Meter } from '../telemetry/counters.ts';
import { BlobHashes, type DigestJob } from './blob-hashes.ts';
import { serveLine, type LineStart } from './line.ts';
import { nameThread } from './thread-name.ts';

/** What the digest thread starts with. */
export interface DigestStart {
  arena: ArenaShared;
  meters: SharedArrayBuffer;
}

nameThread('digest');
const start = workerData as DigestStart;
Meter.claim(start.meters, 'digest');
const hashes = new BlobHashes(new Arena(start.arena));

export default (line: LineStart): Promise<void> =>
  serveLine<DigestJob>(line, (job) => hashes.run(job));
