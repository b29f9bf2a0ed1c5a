import { SHARD_BYTES } from '../limits.ts';
import type { Clock } from '../clock.ts';
import type { ContentFile } from './content-store.ts';
import { RUNTIME_UNVERIFIED_MAX } from './limits.ts';

/** Reads a part of a file and adds it to the sha256 of `key`; rejects when it cannot be read. */
export interface FileHasher {
  /** The part's checksum; null: the file ends before it. */
  update(
    key: string,
    path: string,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<Uint8Array | null>;
  /** The digest of all parts, `totalBytes` together, since the last end, and forgets them. */
  finish(key: string, totalBytes: number): Promise<string>;
  forget(key: string): void;
}

export type Verified =
  | { kind: 'right'; checksums: Uint8Array[] }
  | { kind: 'wrong' }
  | { kind: 'unreadable'; error: unknown };

/**
 * Reads whole blobs and compares them with their digests, one at a time. No request waits for it,
 * so it rests after each shard for as long as the shard took; a blob that was asked for comes first
 * and without a rest.
 */
export class Verification {
  readonly #hasher: FileHasher;
  readonly #clock: Clock;
  readonly #done: (digest: string, file: ContentFile, result: Verified) => void;
  readonly #queue = new Map<string, ContentFile>();
  readonly #urgent = new Set<string>();
  #running = false;
  #closed = false;

  constructor(
    hasher: FileHasher,
    clock: Clock,
    done: (digest: string, file: ContentFile, result: Verified) => void,
  ) {
    this.#hasher = hasher;
    this.#clock = clock;
    this.#done = done;
  }

  /** Blobs that wait to be verified, the one under way included. */
  get waiting(): number {
    return this.#queue.size;
  }

  add(digest: string, file: ContentFile): void {
    // The same file again: the verification continues.
    if (this.#queue.get(digest)?.identity === file.identity) return;
    if (this.#closed || file.sizeBytes === 0 || this.#queue.size >= RUNTIME_UNVERIFIED_MAX) return;
    this.#queue.set(digest, file);
    if (!this.#running) void this.#run();
  }

  /** The blob was requested: it is verified next if it waits. */
  hurry(digest: string): void {
    if (this.#queue.has(digest)) this.#urgent.add(digest);
  }

  remove(digest: string): void {
    this.#queue.delete(digest);
    this.#urgent.delete(digest);
  }

  close(): void {
    this.#closed = true;
    this.#queue.clear();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      const [digest = this.#queue.keys().next().value] = this.#urgent;
      const file = digest === undefined ? undefined : this.#queue.get(digest);
      if (digest === undefined || file === undefined) break;
      const result = await this.#verify(digest, file);
      // It may have been removed, or replaced by another file, meanwhile.
      const isCurrent = this.#queue.get(digest) === file;
      if (isCurrent) this.remove(digest);
      if (isCurrent && result !== null) this.#done(digest, file, result);
    }
    this.#running = false;
  }

  /** null: it was removed from the queue. */
  async #verify(digest: string, file: ContentFile): Promise<Verified | null> {
    const checksums: Uint8Array[] = [];
    const key = `file:${digest}`;
    try {
      for (let offset = 0; offset < file.sizeBytes; offset += SHARD_BYTES) {
        const startMs = this.#clock.nowMs();
        const lengthBytes = Math.min(SHARD_BYTES, file.sizeBytes - offset);
        const checksum = await this.#hasher.update(key, file.path, offset, lengthBytes);
        if (this.#closed || this.#queue.get(digest) !== file) {
          this.#hasher.forget(key);
          return null;
        }
        if (checksum === null) {
          this.#hasher.forget(key);
          return { kind: 'wrong' };
        }
        checksums.push(checksum);
        if (!this.#urgent.has(digest)) await this.#rest(this.#clock.nowMs() - startMs);
      }
      return (await this.#hasher.finish(key, file.sizeBytes)) === digest
        ? { kind: 'right', checksums }
        : { kind: 'wrong' };
    } catch (error) {
      this.#hasher.forget(key);
      return { kind: 'unreadable', error };
    }
  }

  #rest(forMs: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(forMs, resolve));
  }
}
