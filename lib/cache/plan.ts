import { CACHE_VICTIMS_MAX } from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { CHECKSUM_BYTES } from '../shard.ts';
import { SlabAllocator } from './allocator.ts';
import type { Extent } from './allocator.ts';
import { Eviction } from './eviction.ts';
import type { ShardHeader } from './header.ts';
import { shardFingerprint } from './key.ts';
import { ShardIndex } from './shard-index.ts';

/** One used entry of the table. */
export interface Entry {
  readonly number: number;
  readonly id: string;
  readonly shard: number;
  readonly totalBytes: number;
  readonly lengthBytes: number;
  readonly extent: Extent;
  /**
   * `writing` until the data is on disk; `doomed`: dropped during a read or write, the last of
   * which frees it.
   */
  state: 'writing' | 'stored' | 'doomed';
  /** Whether this process has verified the checksum. */
  verified: boolean;
}

/** Space reserved for one shard, or none. */
interface Reservation {
  entry: Entry | null;
  /** Entries evicted for it; their headers must be emptied, except the one that `entry` reuses. */
  evicted: number[];
}

/**
 * Every decision about the slab: where a shard goes, what makes room for it, what is found where.
 * Pure bookkeeping, in the order its methods are called. reserve -> commit | abandon; stored ->
 * pin, unpin; drop whenever.
 */
export class CachePlan {
  readonly allocator: SlabAllocator;
  evictions = 0;
  readonly #entries: (Entry | undefined)[];
  readonly #freeNumbers: number[] = [];
  readonly #index = new ShardIndex();
  readonly #eviction: Eviction;
  /** One array for all: a million small ones would cost more than the headers themselves. */
  readonly #checksums: Uint8Array;
  #restored: Entry[] = [];
  #used = 0;

  constructor(slotCount: number, entryCount: number) {
    this.allocator = new SlabAllocator(slotCount);
    this.#eviction = new Eviction(entryCount, slotCount * SHARD_BYTES);
    this.#checksums = new Uint8Array(entryCount * CHECKSUM_BYTES);
    this.#entries = Array.from({ length: entryCount });
    for (let number = entryCount - 1; number >= 0; number--) this.#freeNumbers.push(number);
  }

  get entryCount(): number {
    return this.#entries.length;
  }

  /** Entries in use, those being written included. */
  get used(): number {
    return this.#used;
  }

  get blobCount(): number {
    return this.#index.blobCount;
  }

  /** The entry of a shard, stored or being written. */
  find(id: string, shard: number): Entry | undefined {
    return this.#entries[this.#index.find(id, shard)];
  }

  /** Shards of a blob that are stored or being written. */
  countOf(id: string): number {
    return this.#index.countOf(id);
  }

  /** The size of a blob of which a shard is stored or being written. */
  totalOf(id: string): number | undefined {
    return this.#index.totalOf(id);
  }

  /**
   * Room for a shard that `find` does not know, of a blob whose size, if known, is `totalBytes`.
   * Evicts what it must. Returns no entry if every shard that could make room is pinned; shards
   * that it evicted before it found this out are listed all the same.
   */
  reserve(id: string, shard: number, totalBytes: number, lengthBytes: number): Reservation {
    const evicted: number[] = [];
    const extent = this.#makeRoom(lengthBytes, evicted);
    if (extent === undefined) return { entry: null, evicted };
    // Reuse the number freed last: its evicted header is overwritten instead of emptied.
    const number = this.#freeNumbers.pop()!;
    const entry: Entry = {
      number,
      id,
      shard,
      totalBytes,
      lengthBytes,
      extent,
      state: 'writing',
      verified: true,
    };
    this.#install(entry);
    return { entry, evicted: evicted.filter((freed) => freed !== number) };
  }

  /**
   * The data is on disk: from here on the shard is found and may be evicted. False when it was
   * dropped meanwhile.
   */
  commit(entry: Entry, checksum: Uint8Array): boolean {
    if (entry.state === 'doomed') {
      this.#free(entry);
      return false;
    }
    this.#checksums.set(checksum, entry.number * CHECKSUM_BYTES);
    entry.state = 'stored';
    this.#eviction.insert(
      entry.number,
      entry.extent.lengthBytes,
      shardFingerprint(entry.id, entry.shard),
    );
    return true;
  }

  /** The data was not written to disk. */
  abandon(entry: Entry): void {
    if (entry.state !== 'doomed') this.#index.remove(entry.id, entry.shard);
    this.#free(entry);
  }

  /** A copy of a stored entry's checksum, 32 bytes. */
  checksumOf(entry: Entry): Uint8Array {
    return this.#checksums.slice(
      entry.number * CHECKSUM_BYTES,
      (entry.number + 1) * CHECKSUM_BYTES,
    );
  }

  /** The first stored entry whose number is above `number`. */
  storedAfter(number: number): Entry | undefined {
    for (let next = number + 1; next < this.#entries.length; next++)
      if (this.#entries[next]?.state === 'stored') return this.#entries[next];
    return undefined;
  }

  /** Counts a use. */
  touch(entry: Entry): void {
    this.#eviction.touch(entry.number);
  }

  /** Keeps a stored entry's extent its own until `unpin`. */
  pin(entry: Entry): void {
    this.#eviction.pin(entry.number);
  }

  unpin(entry: Entry): void {
    this.#eviction.unpin(entry.number);
    if (entry.state === 'doomed' && !this.#eviction.pinned(entry.number)) this.#free(entry);
  }

  /** Forgets one entry, at once or when the last reader leaves. */
  forget(entry: Entry): void {
    if (entry.state === 'doomed') return;
    this.#index.remove(entry.id, entry.shard);
    this.#eviction.remove(entry.number);
    const busy = entry.state === 'writing' || this.#eviction.pinned(entry.number);
    entry.state = 'doomed';
    if (!busy) this.#free(entry);
  }

  /** Forgets a blob; the numbers of the entries whose headers are to be emptied. */
  drop(id: string): number[] {
    const numbers = this.#index.entriesOf(id);
    for (const number of numbers) this.forget(this.#entries[number]!);
    return numbers;
  }

  /**
   * Puts back what recovery found, newest first, before anything else: what another entry holds
   * already (the shard, its bytes in the slab, the blob with another size) is refused, and false
   * returned.
   */
  restore(number: number, header: ShardHeader): boolean {
    const { id, shard, totalBytes, lengthBytes } = header;
    const knownBytes = this.#index.totalOf(id);
    if (
      this.#entries[number] !== undefined ||
      (knownBytes !== undefined && knownBytes !== totalBytes)
    )
      return false;
    if (this.#index.find(id, shard) >= 0) return false;
    const extent = { offsetBytes: header.offsetBytes, lengthBytes: header.extentBytes };
    if (!this.allocator.claim(extent)) return false;
    const entry: Entry = {
      number,
      id,
      shard,
      totalBytes,
      lengthBytes,
      extent,
      state: 'stored',
      verified: false,
    };
    this.#install(entry);
    this.#checksums.set(header.checksum, number * CHECKSUM_BYTES);
    this.#restored.push(entry);
    return true;
  }

  /**
   * Ends the restoring: they queue for eviction, oldest first, as proven, and the numbers left over
   * are free.
   */
  restored(): void {
    for (const entry of this.#restored.toReversed()) {
      this.#eviction.insert(
        entry.number,
        entry.extent.lengthBytes,
        shardFingerprint(entry.id, entry.shard),
        true,
      );
    }
    this.#restored = [];
    this.#freeNumbers.length = 0;
    for (let number = this.#entries.length - 1; number >= 0; number--) {
      if (this.#entries[number] === undefined) this.#freeNumbers.push(number);
    }
  }

  #install(entry: Entry): void {
    this.#entries[entry.number] = entry;
    this.#used++;
    if (!this.#index.add(entry.id, entry.totalBytes, entry.shard, entry.number))
      throw new Error('the shard is here already');
  }

  #makeRoom(lengthBytes: number, evicted: number[]): Extent | undefined {
    for (;;) {
      if (this.#freeNumbers.length > 0) {
        const extent = this.allocator.allocate(lengthBytes);
        if (extent !== undefined) return extent;
      }
      if (evicted.length >= CACHE_VICTIMS_MAX && this.#clearSharedSlot(evicted)) continue;
      const number = this.#eviction.victim();
      if (number < 0) return undefined;
      this.#evict(this.#entries[number]!, evicted);
    }
  }

  /** Evicts everything in the emptiest shared slot that is not in use; false when there is none. */
  #clearSharedSlot(evicted: number[]): boolean {
    const slots = this.allocator.sharedSlots();
    const bySlot = new Map<number, Entry[]>(slots.map((slot) => [slot, []]));
    for (const entry of this.#entries) {
      if (entry !== undefined)
        bySlot.get(Math.floor(entry.extent.offsetBytes / SHARD_BYTES))?.push(entry);
    }
    for (const slot of slots) {
      const entries = bySlot.get(slot)!;
      if (entries.some((entry) => entry.state !== 'stored' || this.#eviction.pinned(entry.number)))
        continue;
      for (const entry of entries) this.#evict(entry, evicted);
      return true;
    }
    return false;
  }

  #evict(entry: Entry, evicted: number[]): void {
    this.evictions++;
    evicted.push(entry.number);
    this.forget(entry);
  }

  #free(entry: Entry): void {
    this.allocator.release(entry.extent);
    this.#entries[entry.number] = undefined;
    this.#freeNumbers.push(entry.number);
    this.#used--;
  }
}
