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
 * slots, `part` reads and hashes the next bytes of a file, `finish` gives the sha256 of
 * `totalBytes` and forgets the blob, `forget` only forgets it. `offsetBytes`: what must have been
 * hashed before; 0 begins anew. A thread that took the place of another one answers `gone`.
 */
export type DigestJob =
  | {
      kind: 'update';
      key: string;
      offsetBytes: number;
      shards: { slot: number; generation: number; lengthBytes: number }[];
    }
  | { kind: 'part'; key: string; path: string; offsetBytes: number; lengthBytes: number }
  | { kind: 'finish'; key: string; totalBytes: number }
  | { kind: 'forget'; key: string };

/**
 * `hashed`: so many of the shards, up to the first whose slot holds something else by now. `gone`:
 * what came before was not hashed here: begin anew. `ended`: the file ends before the part. `part`:
 * the part's checksum.
 */
export type DigestResult =
  | { kind: 'hashed'; count: number }
  | { kind: 'part'; checksum: Uint8Array }
  | { kind: 'unreadable'; message: string }
  | { kind: 'done'; digest: string }
  | { kind: 'ended' }
  | { kind: 'gone' };

nameThread('digest');
const start = workerData as DigestStart;
const arena = new Arena(start.arena);
Meter.claim(start.meters, 'digest');

interface Hashing {
  hash: Hash;
  bytes: number;
}

/** As many blobs at once as control lets run (BLOB_DIGESTS_MAX). */
const hashes = new Map<string, Hashing>();

/** Carries out one job. */
function run(job: DigestJob): DigestResult | Promise<DigestResult> {
  switch (job.kind) {
    case 'part':
      return part(job);
    case 'update':
      return update(job);
    case 'forget':
      hashes.delete(job.key);
      return { kind: 'gone' };
    case 'finish': {
      const hashing = hashes.get(job.key);
      hashes.delete(job.key);
      return hashing?.bytes === job.totalBytes
        ? { kind: 'done', digest: hashing.hash.digest('hex') }
        : { kind: 'gone' };
    }
  }
}

function update({
  key,
  offsetBytes,
  shards,
}: Extract<DigestJob, { kind: 'update' }>): DigestResult {
  const hashing = hashingOf(key, offsetBytes);
  if (hashing === null) return { kind: 'gone' };
  let count = 0;
  for (const { slot, generation, lengthBytes } of shards) {
    // Control has pinned it: a thread that ends would never give its pin back.
    if (arena.generation(slot) !== generation) break;
    add(hashing, arena.bytes(slot, 0, lengthBytes));
    count++;
  }
  return { kind: 'hashed', count };
}

/** The hash of the first `offsetBytes` of a blob; null if this thread does not have it. */
function hashingOf(key: string, offsetBytes: number): Hashing | null {
  if (offsetBytes === 0) hashes.set(key, { hash: createHash('sha256'), bytes: 0 });
  const hashing = hashes.get(key);
  return hashing?.bytes === offsetBytes ? hashing : null;
}

function add(hashing: Hashing, bytes: Uint8Array): void {
  hashing.hash.update(bytes);
  hashing.bytes += bytes.length;
}

/** The file's bytes are read here: control has one file read at a time. */
let buffer: Buffer | null = null;

async function part({
  key,
  path,
  offsetBytes,
  lengthBytes,
}: Extract<DigestJob, { kind: 'part' }>): Promise<DigestResult> {
  const hashing = hashingOf(key, offsetBytes);
  if (hashing === null) return { kind: 'gone' };
  buffer ??= Buffer.allocUnsafeSlow(SHARD_BYTES);
  const bytes = buffer.subarray(0, lengthBytes);
  try {
    if (!(await fill(path, offsetBytes, bytes))) return { kind: 'ended' };
  } catch (thrown) {
    return { kind: 'unreadable', message: String(thrown) };
  }
  add(hashing, bytes);
  return { kind: 'part', checksum: checksumOf(bytes) };
}

export default (line: LineStart): Promise<void> => serveLine<DigestJob>(line, run);
