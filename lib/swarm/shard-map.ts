import type { ShardId } from './types.ts';

/** A map by (key, index) without a string made for every look-up. */
export class ShardMap<T> {
  readonly #blobs = new Map<string, Map<number, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(shard: ShardId): T | undefined {
    return this.#blobs.get(shard.key)?.get(shard.index);
  }

  set(shard: ShardId, value: T): void {
    let blob = this.#blobs.get(shard.key);
    if (blob === undefined) this.#blobs.set(shard.key, (blob = new Map()));
    if (!blob.has(shard.index)) this.#size++;
    blob.set(shard.index, value);
  }

  delete(shard: ShardId): void {
    const blob = this.#blobs.get(shard.key);
    if (blob === undefined || !blob.delete(shard.index)) return;
    this.#size--;
    if (blob.size === 0) this.#blobs.delete(shard.key);
  }

  /** Entries of one blob, by index. */
  of(key: string): ReadonlyMap<number, T> {
    return this.#blobs.get(key) ?? new Map();
  }

  /** Keys of the blobs with entries. */
  keys(): string[] {
    return [...this.#blobs.keys()];
  }

  /** Every value; entries may be deleted meanwhile. */
  *values(): Generator<T> {
    for (const blob of this.#blobs.values()) yield* blob.values();
  }
}
