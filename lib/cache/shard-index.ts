/** A blob of which something is stored or being written. */
interface BlobRow {
  totalBytes: number;
  /** Entry numbers by shard index. */
  entries: Map<number, number>;
}

/**
 * Which entry of the header table holds which shard of which blob. Ids as lib/cache/key.ts makes
 * them.
 */
export class ShardIndex {
  readonly #blobs = new Map<string, BlobRow>();

  get blobCount(): number {
    return this.#blobs.size;
  }

  /** The entry of a shard, -1 when there is none. */
  find(id: string, shard: number): number {
    return this.#blobs.get(id)?.entries.get(shard) ?? -1;
  }

  /** The blob's size; undefined when nothing of it is here. */
  totalOf(id: string): number | undefined {
    return this.#blobs.get(id)?.totalBytes;
  }

  /** How many shards of a blob are here. */
  countOf(id: string): number {
    return this.#blobs.get(id)?.entries.size ?? 0;
  }

  /** The entries of a blob, as a copy. */
  entriesOf(id: string): number[] {
    return [...(this.#blobs.get(id)?.entries.values() ?? [])];
  }

  /** Files a shard; false when another entry has it, or the blob is known with another size. */
  add(id: string, totalBytes: number, shard: number, entry: number): boolean {
    let blob = this.#blobs.get(id);
    if (blob === undefined) {
      blob = { totalBytes, entries: new Map() };
      this.#blobs.set(id, blob);
    }
    if (blob.totalBytes !== totalBytes || blob.entries.has(shard)) return false;
    blob.entries.set(shard, entry);
    return true;
  }

  remove(id: string, shard: number): void {
    const blob = this.#blobs.get(id);
    if (blob === undefined) return;
    blob.entries.delete(shard);
    if (blob.entries.size === 0) this.#blobs.delete(id);
  }
}
