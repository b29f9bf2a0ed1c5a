import type { Clock } from '../../clock.ts';
import { READ_TRACE_SHARDS_MAX } from '../../limits.ts';
import { traceName } from '../../registry/identity.ts';

/**
 * Shards of blobs in the order in which they were read on demand. Anybody may ask for a trace, so a
 * blob is known by a hash of its digest (`traceName`): only a client that has the image's manifest
 * can tell which blob it is.
 */
export interface Trace {
  salt: string;
  blobs: { name: string }[];
  /** Index of the blob, index of the shard. */
  reads: [blob: number, shard: number][];
}

/**
 * The shards that small reads needed lately, so that the start of an image can be recorded
 * afterwards. Bounded: the oldest are forgotten.
 */
export class ReadTrace {
  readonly #clock: Clock;
  readonly #shardsMax: number;
  /** By `<digest>/<shard>`, in the order of the last read. */
  readonly #reads = new Map<string, { digest: string; shard: number; atMs: number }>();

  constructor(clock: Clock, shardsMax = READ_TRACE_SHARDS_MAX) {
    this.#clock = clock;
    this.#shardsMax = shardsMax;
  }

  /**
   * A small read needed a shard that its front did not know. Blobs without a digest in their name
   * are left out: they cannot be requested again.
   */
  note(key: string, shard: number): void {
    if (!key.startsWith('sha256:')) return;
    const name = `${key}/${shard}`;
    this.#reads.delete(name);
    this.#reads.set(name, { digest: key, shard, atMs: this.#clock.nowMs() });
    if (this.#reads.size > this.#shardsMax) this.#reads.delete(this.#reads.keys().next().value!);
  }

  /** The reads of the last `seconds`; `salt`: a random text for this trace alone. */
  last(seconds: number, salt: string): Trace {
    const sinceMs = this.#clock.nowMs() - seconds * 1_000;
    const indexes = new Map<string, number>();
    const trace: Trace = { salt, blobs: [], reads: [] };
    for (const { digest, shard, atMs } of this.#reads.values()) {
      if (atMs < sinceMs) continue;
      let index = indexes.get(digest);
      if (index === undefined) {
        indexes.set(digest, (index = trace.blobs.length));
        trace.blobs.push({ name: traceName(digest, salt) });
      }
      trace.reads.push([index, shard]);
    }
    return trace;
  }
}
