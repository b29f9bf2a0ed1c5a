import type { HeaderJob } from './slab-io.ts';

interface Pending {
  bytes: Uint8Array;
  settled: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Writes headers one at a time, so that two versions of an entry reach the disk in the order they
 * were made; of several that wait for the same entry only the last is written. Waiting is bounded
 * by the table's entries.
 */
export class HeaderWriter {
  readonly #write: (job: HeaderJob) => Promise<void>;
  readonly #pending = new Map<number, Pending>();
  #running = false;

  constructor(write: (job: HeaderJob) => Promise<void>) {
    this.#write = write;
  }

  /**
   * Resolves when this version of the entry, or a later one, is written; rejects when that write
   * failed.
   */
  write(entry: number, bytes: Uint8Array): Promise<void> {
    let pending = this.#pending.get(entry);
    if (pending === undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      pending = { bytes, settled: promise, resolve, reject };
      this.#pending.set(entry, pending);
    } else {
      pending.bytes = bytes;
    }
    if (!this.#running) void this.#run();
    return pending.settled;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      const next = this.#pending.entries().next();
      if (next.done === true) break;
      const [entry, pending] = next.value;
      this.#pending.delete(entry);
      try {
        await this.#write({ entry, bytes: pending.bytes });
        pending.resolve();
      } catch (error) {
        pending.reject(error);
      }
    }
    this.#running = false;
  }
}
