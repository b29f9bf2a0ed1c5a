import { ARRIVALS_BLOBS_MAX, ARRIVALS_SHARDS_MAX } from './limits.ts';

/**
 * When bytes of a blob last came, by shard. Senders send in order, so a shard is not overdue while
 * bytes come of those before it: patience counts from the last of them. On a slow line the last
 * shard of a window waits for all others, far longer than any one shard takes.
 */
export class Arrivals {
  /**
   * Per blob, shards in order with the time of their last bytes. A shard after which bytes came of
   * one before it is left out, so the times are in order, too.
   */
  readonly #blobs = new Map<string, { index: number; ms: number }[]>();

  /** Bytes of a shard came. */
  came(key: string, index: number, nowMs: number): void {
    let shards = this.#blobs.get(key);
    if (shards === undefined) this.#blobs.set(key, (shards = this.#room()));
    while (shards.length > 0 && shards.at(-1)!.index >= index) shards.pop();
    shards.push({ index, ms: nowMs });
    if (shards.length > ARRIVALS_SHARDS_MAX) shards.shift();
  }

  /** When bytes of a shard before `index` last arrived; -Infinity: never. */
  beforeMs(key: string, index: number): number {
    const shards = this.#blobs.get(key);
    return shards?.findLast((shard) => shard.index < index)?.ms ?? -Infinity;
  }

  /** Makes room for one more blob by forgetting the oldest, which is added again when needed. */
  #room(): { index: number; ms: number }[] {
    if (this.#blobs.size >= ARRIVALS_BLOBS_MAX)
      this.#blobs.delete(this.#blobs.keys().next().value!);
    return [];
  }
}
