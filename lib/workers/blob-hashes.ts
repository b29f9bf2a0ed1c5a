import { createHash, type Hash } from 'node:crypto';
import type { Arena } from '../io/arena.ts';
import { fill } from '../io/file-part.ts';
import { checksumOf } from '../io/checksum.ts';
import { SHARD_BYTES } from '../limits.ts';

/**
 * Hashes blobs shard by shard, in order. `update` hashes the next shards of blob `key` from their
 * slots; `part` reads and hashes the next bytes of a file; `finish` returns the sha256 of
 * `totalBytes` and forgets the blob; `forget` only forgets it. `offsetBytes`: the bytes that must
 * have been hashed before; 0 starts again. A thread that replaced another one answers `gone`.
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
 * `hashed`: so many of the shards, up to the first whose slot has been reassigned. `gone`: the
 * bytes before were not hashed on this thread, so start again. `ended`: the file ends before the
 * part. `part`: the checksum of the part.
 */
export type DigestResult =
  | { kind: 'hashed'; count: number }
  | { kind: 'part'; checksum: Uint8Array }
  | { kind: 'unreadable'; message: string }
  | { kind: 'done'; digest: string }
  | { kind: 'ended' }
  | { kind: 'gone' };

interface Hash256 {
  hash: Hash;
  bytes: number;
}

/** Carries out the jobs of the digest thread. */
export class BlobHashes {
  readonly #arena: Arena;
  readonly #read: typeof fill;
  /** As many blobs at once as control lets run (BLOB_DIGESTS_MAX). */
  readonly #hashes = new Map<string, Hash256>();
  /** The file's bytes are read here: control has one file read at a time. */
  #buffer: Buffer | null = null;

  constructor(arena: Arena, read: typeof fill = fill) {
    this.#arena = arena;
    this.#read = read;
  }

  run(job: DigestJob): DigestResult | Promise<DigestResult> {
    switch (job.kind) {
      case 'part':
        return this.#part(job);
      case 'update':
        return this.#update(job);
      case 'forget':
        this.#hashes.delete(job.key);
        return { kind: 'gone' };
      case 'finish': {
        const hashing = this.#hashes.get(job.key);
        this.#hashes.delete(job.key);
        return hashing?.bytes === job.totalBytes
          ? { kind: 'done', digest: hashing.hash.digest('hex') }
          : { kind: 'gone' };
      }
    }
  }

  #update({ key, offsetBytes, shards }: Extract<DigestJob, { kind: 'update' }>): DigestResult {
    const hashing = this.#hashOf(key, offsetBytes);
    if (hashing === null) return { kind: 'gone' };
    let count = 0;
    for (const { slot, generation, lengthBytes } of shards) {
      // Control has pinned it: a thread that ends would never give its pin back.
      if (this.#arena.generation(slot) !== generation) break;
      add(hashing, this.#arena.bytes(slot, 0, lengthBytes));
      count++;
    }
    return { kind: 'hashed', count };
  }

  /** The hash of the first `offsetBytes` of a blob; null if it is not here. */
  #hashOf(key: string, offsetBytes: number): Hash256 | null {
    if (offsetBytes === 0) this.#hashes.set(key, { hash: createHash('sha256'), bytes: 0 });
    const hashing = this.#hashes.get(key);
    return hashing?.bytes === offsetBytes ? hashing : null;
  }

  async #part({
    key,
    path,
    offsetBytes,
    lengthBytes,
  }: Extract<DigestJob, { kind: 'part' }>): Promise<DigestResult> {
    const hashing = this.#hashOf(key, offsetBytes);
    if (hashing === null) return { kind: 'gone' };
    this.#buffer ??= Buffer.allocUnsafeSlow(SHARD_BYTES);
    const bytes = this.#buffer.subarray(0, lengthBytes);
    try {
      if (!(await this.#read(path, offsetBytes, bytes))) return { kind: 'ended' };
    } catch (thrown) {
      return { kind: 'unreadable', message: String(thrown) };
    }
    add(hashing, bytes);
    return { kind: 'part', checksum: checksumOf(bytes) };
  }
}

function add(hashing: Hash256, bytes: Uint8Array): void {
  hashing.hash.update(bytes);
  hashing.bytes += bytes.length;
}
