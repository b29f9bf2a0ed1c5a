import { createHash, type Hash } from 'node:crypto';
import { workerData } from 'node:worker_threads';
import { Arena, type ArenaShared } from '../io/arena.ts';
import { Meter } from '../telemetry/counters.ts';
import { serveLine, type LineStart } from './line.ts';
import { nameThread } from './thread-name.ts';

/** What the digest thread starts with. */
export interface DigestStart {
  arena: ArenaShared;
  meters: SharedArrayBuffer;
}

/**
 * Follows blobs by their shards, in order: `update` hashes the next shards of blob `key` from their
 * slots, `finish` gives the sha256 and forgets the blob, `forget` only forgets it.
 */
export type DigestJob =
  | {
      kind: 'update';
      key: string;
      shards: { slot: number; generation: number; lengthBytes: number }[];
    }
  | { kind: 'finish'; key: string }
  | { kind: 'forget'; key: string };

/**
 * `hashed`: so many of the shards, up to the first whose slot holds something else by now. `gone`:
 * nothing of the blob was hashed.
 */
export type DigestResult =
  | { kind: 'hashed'; count: number }
  | { kind: 'done'; digest: string }
  | { kind: 'gone' };

nameThread('digest');
const start = workerData as DigestStart;
const arena = new Arena(start.arena);
Meter.claim(start.meters, 'digest');
/** As many blobs at once as control lets run (BLOB_DIGESTS_MAX). */
const hashes = new Map<string, Hash>();

export default (line: LineStart): Promise<void> => serveLine<DigestJob>(line, run);

/** Carries out one job. */
function run(job: DigestJob): DigestResult {
  if (job.kind === 'update') {
    let count = 0;
    for (const { slot, generation, lengthBytes } of job.shards) {
      if (!arena.tryPin(slot, generation)) break;
      let hash = hashes.get(job.key);
      if (hash === undefined) hashes.set(job.key, (hash = createHash('sha256')));
      hash.update(arena.bytes(slot, 0, lengthBytes));
      arena.unpin(slot);
      count++;
    }
    return { kind: 'hashed', count };
  }
  const hash = hashes.get(job.key);
  hashes.delete(job.key);
  return job.kind === 'finish' && hash !== undefined
    ? { kind: 'done', digest: hash.digest('hex') }
    : { kind: 'gone' };
}
