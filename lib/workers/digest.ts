import { createHash, type Hash } from 'node:crypto';
import { workerData } from 'node:worker_threads';
import { Arena, type ArenaShared } from '../io/arena.ts';
import { fill } from '../io/file-part.ts';
import { checksumOf } from '../io/checksum.ts';
import { SHARD_BYTES } from '../limits.ts';
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
 * slots, `part` reads and hashes the next bytes of a file, `finish` gives the sha256 and forgets
 * the blob, `forget` only forgets it.
 */
export type DigestJob =
  | {
      kind: 'update';
      key: string;
      shards: { slot: number; generation: number; lengthBytes: number }[];
    }
  | { kind: 'part'; key: string; path: string; offsetBytes: number; lengthBytes: number }
  | { kind: 'finish'; key: string }
  | { kind: 'forget'; key: string };

/**
 * `hashed`: so many of the shards, up to the first whose slot holds something else by now. `gone`:
 * nothing of the blob was hashed, or the file ends before the part. `part`: the part's checksum.
 */
export type DigestResult =
  | { kind: 'hashed'; count: number }
  | { kind: 'part'; checksum: Uint8Array }
  | { kind: 'unreadable'; message: string }
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
function run(job: DigestJob): DigestResult | Promise<DigestResult> {
  if (job.kind === 'part') return part(job);
  if (job.kind === 'update') {
    let count = 0;
    for (const { slot, generation, lengthBytes } of job.shards) {
      if (!arena.tryPin(slot, generation)) break;
      hashOf(job.key).update(arena.bytes(slot, 0, lengthBytes));
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

function hashOf(key: string): Hash {
  let hash = hashes.get(key);
  if (hash === undefined) hashes.set(key, (hash = createHash('sha256')));
  return hash;
}

/** The file's bytes are read here: control has one file read at a time. */
let buffer: Buffer | null = null;

async function part(job: Extract<DigestJob, { kind: 'part' }>): Promise<DigestResult> {
  buffer ??= Buffer.allocUnsafeSlow(SHARD_BYTES);
  const bytes = buffer.subarray(0, job.lengthBytes);
  try {
    if (!(await fill(job.path, job.offsetBytes, bytes))) return { kind: 'gone' };
  } catch (thrown) {
    return { kind: 'unreadable', message: String(thrown) };
  }
  hashOf(job.key).update(bytes);
  return { kind: 'part', checksum: checksumOf(bytes) };
}
