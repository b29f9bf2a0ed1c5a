import type { Clock } from '../../clock.ts';
import { READ_TRACE_SHARDS_MAX } from '../../limits.ts';

/**
 * Shards of blobs in the order in which they were read on demand. Blobs are known by their digests
 * alone: no URL, no name, no secret.
 */
export interface Trace {
  blobs: { digest: string; sizeBytes: number }[];
  /** Index of the blob, index of the shard. */
  reads: [blob: number, shard: number][];
}

/**
 * Which shards small reads came to lately, so that the start of an image can be recorded after it
 * has happened. Bounded: the oldest are forgotten.
 */
export class ReadTrace {
  readonly #clock: Clock;
  readonly #shardsMax: number;
  /** By `<digest>/<shard>`, in the order in which they were read last. */
  readonly #reads = new Map<
    string,
    { digest: string; shard: number; sizeBytes: number; atMs: number }
  >();

  constructor(clock: Clock, shardsMax = READ_TRACE_SHARDS_MAX) {
    this.#clock = clock;
    this.#shardsMax = shardsMax;
  }

  /**
   * A small read has come to a shard that its front did not know. Blobs without a digest in their
   * name cannot be asked for again: they are left out.
   */
  note(key: string, shard: number, sizeBytes: number): void {
    if (!key.startsWith('sha256:')) return;
    const name = `${key}/${shard}`;
    this.#reads.delete(name);
    this.#reads.set(name, { digest: key, shard, sizeBytes, atMs: this.#clock.nowMs() });
    if (this.#reads.size > this.#shardsMax) this.#reads.delete(this.#reads.keys().next().value!);
  }

  /** What was read in the last `seconds`. */
  last(seconds: number): Trace {
    const sinceMs = this.#clock.nowMs() - seconds * 1_000;
    const indexes = new Map<string, number>();
    const trace: Trace = { blobs: [], reads: [] };
    for (const { digest, shard, sizeBytes, atMs } of this.#reads.values()) {
      if (atMs < sinceMs) continue;
      let index = indexes.get(digest);
      if (index === undefined) {
        indexes.set(digest, (index = trace.blobs.length));
        trace.blobs.push({ digest, sizeBytes });
      }
      trace.reads.push([index, shard]);
    }
    return trace;
  }
}
