import type { CacheStore, StoredShard } from '../../cache/store.ts';
import type { Clock } from '../../clock.ts';
import { ShoalError } from '../../errors.ts';
import { SlotSource, SlotState, type Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { SizeProvenance } from '../../registry/blob-size.ts';
import type { RuntimeStore } from '../../runtime-store/runtime-store.ts';
import { LOCAL, type Share } from '../../share-queue.ts';
import { shardCount } from '../../shard.ts';
import type { ShardFacts } from '../../swarm/types.ts';
import type { BlobFacts } from './blob-facts.ts';
import type { Residency } from './residency.ts';
import {
  newResident,
  type Fill,
  type FillFromSwarm,
  type Interest,
  type Resident,
  type FetchOptions,
} from './resident.ts';

export interface LoaderParts {
  clock: Clock;
  arena: Arena;
  doorbells: Doorbells;
  residency: Residency;
  /** null: no disk cache. */
  store: CacheStore | null;
  /** null: the container runtime's content store is not used. */
  runtime: RuntimeStore | null;
  facts: BlobFacts;
  fill: FillFromSwarm;
  /** Of which share of the slots a shard is that is fetched this way. */
  shareOf(options: FetchOptions): Share;
  /** Whether the blob's digest is about to read the shard. */
  isAwaited(resident: Resident): boolean;
  /** A shard has just become complete here; `fromDisk`: it was stored already. */
  completed(resident: Resident, fromDisk: boolean): void;
  /** A shard was read from disk or written there, in `tookMs`; `sizeBytes` -1: it failed. */
  filed(
    operation: 'fileread' | 'filewrite',
    resident: Resident,
    sizeBytes: number,
    tookMs: number,
    tier: 'runtime' | 'disk',
  ): void;
  /** A shard was not written to the cache because the runtime has it on disk. */
  spared(sizeBytes: number): void;
  /** A shard was looked up: where it was found; `joined`: it is already being fetched. */
  looked(tier: 'arena' | 'runtime' | 'disk' | 'joined' | 'peer' | 'origin'): void;
}

type Bring = (
  resident: Resident,
  done: (got: ShardFacts) => void,
  failed: Parameters<FillFromSwarm>[3],
) => Fill;

/**
 * Single-flight over shards: memory, then the runtime's content store, the disk cache, the swarm.
 *
 *   want -> waiting (for a slot) -> loading -> complete -> (evicted)
 *                 \ abandoned         \ failed: every interest hears it, the generation ends
 */
export class ShardLoader {
  readonly #parts: LoaderParts;
  readonly #residents = new Map<string, Resident>();

  constructor(parts: LoaderParts) {
    this.#parts = parts;
  }

  /** The shard if it is in memory or on its way. */
  find(key: string, shard: number): Resident | undefined {
    return this.#residents.get(`${key}/${shard}`);
  }

  /** Every shard in memory or on its way there. */
  residents(): Iterable<Resident> {
    return this.#residents.values();
  }

  /** The facts about a shard on disk. */
  stored(key: string, shard: number): ShardFacts | undefined {
    const { runtime, store } = this.#parts;
    const stored = runtime?.has(key, shard) ?? store?.has(key, shard);
    return stored === undefined ? undefined : filled(stored);
  }

  /** Whether the shard is complete here, in memory or on disk. */
  has(key: string, shard: number): boolean {
    return (
      this.find(key, shard)?.phase === 'complete' ||
      this.#parts.runtime?.has(key, shard) !== undefined ||
      this.#parts.store?.has(key, shard) !== undefined
    );
  }

  /** The shards of a blob that are on disk, in the runtime's store or in the cache. */
  onDisk(key: string): { count: number; has(shard: number): boolean } {
    const none = { count: 0, has: () => false };
    const runtime = this.#parts.runtime?.shardsOf(key) ?? none;
    const cache = this.#parts.store?.shardsOf(key) ?? none;
    const has = (shard: number): boolean => runtime.has(shard) || cache.has(shard);
    if (runtime.count === 0 || cache.count === 0)
      return { count: runtime.count + cache.count, has };
    // Both have some, as after an aborted pull; the size is that of a real file.
    const shards = shardCount(this.#parts.runtime?.totalOf(key) ?? 0);
    let count = 0;
    for (let shard = 0; shard < shards; shard++) if (has(shard)) count += 1;
    return { count, has };
  }

  /**
   * How many shards of a blob are here, in memory or on disk. Iterates over the shards here, so
   * that its cost does not grow with a size that another node claims.
   */
  countOf(key: string): number {
    const stored = this.onDisk(key);
    let { count } = stored;
    for (const resident of this.#residents.values())
      if (resident.key === key && resident.phase === 'complete' && !stored.has(resident.shard))
        count += 1;
    return count;
  }

  /** Brings the shard into memory for `interest`. Pass the result to `drop`. */
  want(key: string, shard: number, options: FetchOptions, interest: Interest): Resident {
    const name = `${key}/${shard}`;
    let resident = this.#residents.get(name);
    if (resident === undefined) {
      resident = newResident(key, shard);
      resident.interests.add(interest);
      this.#residents.set(name, resident);
      const isStored = this.#parts.store?.has(key, shard) !== undefined;
      const share = isStored ? LOCAL : this.#parts.shareOf(options);
      void this.#bring(resident, share, (bringing, done, failed) =>
        this.#parts.fill(bringing, options, done, failed),
      );
      return resident;
    }
    resident.interests.add(interest);
    resident.filling?.offer(options);
    this.#parts.looked(resident.phase === 'complete' ? 'arena' : 'joined');
    if (resident.phase === 'complete') {
      this.#parts.residency.refresh(resident.slot);
      this.#parts.store?.touch(key, shard);
    }
    if (resident.slot >= 0) interest.placed(resident, resident.phase !== 'complete');
    return resident;
  }

  /**
   * Stores a manifest, a blob of one shard, whose bytes have the digest `key`. It is cached even if
   * the runtime keeps it, because it is needed while the registry is down.
   */
  put(key: string, bytes: Uint8Array, checksum: string): void {
    if (this.#residents.has(`${key}/0`) || this.has(key, 0)) return;
    const resident = newResident(key, 0);
    resident.isCached = true;
    this.#residents.set(`${key}/0`, resident);
    void this.#bring(resident, LOCAL, (_resident, done) => {
      this.#parts.arena.bytes(resident.slot, 0, bytes.length).set(bytes);
      this.#parts.arena.setSource(resident.slot, SlotSource.origin);
      queueMicrotask(() => done({ lengthBytes: bytes.length, totalBytes: bytes.length, checksum }));
      return { abandon: () => undefined, offer: () => undefined };
    });
  }

  /**
   * Ends an interest. When the last one leaves a shard that is not complete, its fetch is
   * abandoned, after `graceMs`.
   */
  drop(resident: Resident, interest: Interest, graceMs = 0): void {
    if (graceMs > 0 && resident.phase !== 'complete') {
      this.#parts.clock.after(graceMs, () => this.drop(resident, interest));
      return;
    }
    resident.interests.delete(interest);
    // A resident that failed or was abandoned is over; a newer one may be under way.
    const isOver = this.find(resident.key, resident.shard) !== resident;
    if (
      resident.interests.size > 0 ||
      resident.phase === 'complete' ||
      isOver ||
      this.#isWhole(resident)
    )
      return;
    resident.abandoned = true;
    this.#forget(resident);
    resident.filling?.abandon();
  }

  /** Every byte is here, but the message that says so is still on its way to this thread. */
  #isWhole(resident: Resident): boolean {
    if (resident.slot < 0) return false;
    const lengthBytes = this.#parts.arena.length(resident.slot);
    return lengthBytes >= 0 && this.#parts.arena.received(resident.slot) >= lengthBytes;
  }

  /** Drops every complete shard of a blob, in memory and on disk, except `kept`. */
  purge(key: string, kept: Resident | null = null): void {
    this.#parts.store?.drop(key);
    this.#parts.runtime?.drop(key);
    for (const resident of [...this.#residents.values()]) {
      if (resident.key === key && resident.phase === 'complete' && resident !== kept) {
        this.#forget(resident);
        this.#parts.residency.discard(resident.slot);
      }
    }
    this.#parts.doorbells.ringAll();
  }

  /**
   * A source names a blob's size. If that changes the believed size, the stored shards belong to
   * another object and are dropped. Returns false if a stronger source names another size
   * (lib/registry/blob-size.ts).
   */
  sized(
    key: string,
    totalBytes: number,
    provenance: SizeProvenance,
    kept: Resident | null = null,
  ): boolean {
    const { facts, runtime, store } = this.#parts;
    const knownBytes = facts.totalOf(key) ?? store?.totalOf(key) ?? runtime?.totalOf(key);
    if (facts.sized(key, totalBytes, provenance).bytes !== totalBytes) return false;
    if (knownBytes !== undefined && knownBytes !== totalBytes) this.purge(key, kept);
    return true;
  }

  async #bring(resident: Resident, share: Share, fill: Bring): Promise<void> {
    const { arena, residency } = this.#parts;
    try {
      const slot = await residency.acquire(share);
      resident.slot = slot;
      resident.generation = arena.begin(slot);
    } catch (thrown) {
      this.#fail(resident, ShoalError.from(thrown));
      return;
    }
    if (resident.abandoned) {
      residency.discard(resident.slot);
      return;
    }
    resident.phase = 'loading';
    residency.hold(resident.slot, {
      evicted: () => this.#forget(resident),
      isWanted: () => resident.interests.size > 0 || this.#parts.isAwaited(resident),
      // A peer still has the bytes that it sent; bytes of the origin would have to be read again.
      isExpendable: () =>
        resident.phase === 'complete' &&
        resident.interests.size === 0 &&
        arena.source(resident.slot) === SlotSource.peer,
    });
    if (await this.#load(resident)) return;
    resident.filling = fill(
      resident,
      (got) => this.#complete(resident, got, false),
      (error, of) => this.#fail(resident, error, of),
    );
  }

  /**
   * Reads the shard from the runtime's store or from the cache. False if it has to be fetched; the
   * interests know its slot.
   */
  async #load(resident: Resident): Promise<boolean> {
    const { arena, residency, runtime, store, clock } = this.#parts;
    const { key, shard, slot } = resident;
    let isPlaced = false;
    for (const tier of ['runtime', 'disk'] as const) {
      const from = tier === 'runtime' ? runtime : store;
      const stored = from?.has(key, shard);
      if (from === null || stored === undefined || resident.abandoned) continue;
      arena.setSource(slot, SlotSource[tier]);
      arena.setLength(slot, stored.lengthBytes, stored.totalBytes);
      if (!isPlaced) this.#tellPlaced(resident);
      isPlaced = true;
      const startMs = clock.nowMs();
      const isLoaded = (await from.load(key, shard, slot)) === 'ok';
      const sizeBytes = isLoaded ? stored.lengthBytes : -1;
      this.#parts.filed('fileread', resident, sizeBytes, clock.nowMs() - startMs, tier);
      if (!isLoaded) continue;
      this.#parts.looked(tier);
      this.#complete(resident, filled(stored), true);
      return true;
    }
    if (!isPlaced) this.#tellPlaced(resident);
    runtime?.wanted(key);
    if (resident.abandoned) residency.discard(slot);
    return resident.abandoned;
  }

  #tellPlaced(resident: Resident): void {
    for (const interest of [...resident.interests]) interest.placed(resident, true);
  }

  #complete(resident: Resident, got: ShardFacts, fromDisk: boolean): void {
    const { arena, doorbells, residency, store, runtime } = this.#parts;
    const { slot } = resident;
    const isFromOrigin = !fromDisk && arena.source(slot) === SlotSource.origin;
    if (!this.sized(resident.key, got.totalBytes, isFromOrigin ? 'upstream' : 'owner', resident)) {
      this.#fail(
        resident,
        new ShoalError('CHECKSUM_MISMATCH', 'a shard came from a blob of another size'),
      );
      return;
    }
    resident.filling = null;
    resident.lengthBytes = got.lengthBytes;
    resident.checksum = got.checksum;
    arena.setLength(slot, got.lengthBytes, got.totalBytes);
    arena.setReceived(slot, got.lengthBytes);
    arena.setReleased(slot, got.lengthBytes);
    resident.phase = 'complete';
    if (!fromDisk) this.#parts.looked(isFromOrigin ? 'origin' : 'peer');
    if (resident.abandoned && !this.#readopt(resident)) {
      residency.discard(slot);
      return;
    }
    if (!fromDisk && store !== null) void this.#save(resident, store, runtime, got);
    else this.#evictable(resident);
    doorbells.ringAll();
    for (const interest of [...resident.interests]) interest.complete?.(resident);
    this.#parts.completed(resident, fromDisk);
  }

  /**
   * Sees to it that the shard is on disk, once: in the runtime's store, or else in the cache. Until
   * then it stays in memory.
   */
  async #save(
    resident: Resident,
    store: CacheStore,
    runtime: RuntimeStore | null,
    got: ShardFacts,
  ): Promise<void> {
    const { clock, filed, spared } = this.#parts;
    const { key, shard, slot, generation } = resident;
    const stored = { ...got, checksum: Buffer.from(got.checksum, 'hex') };
    if (runtime !== null && !resident.isCached && (await runtime.keeps(key, shard, stored))) {
      spared(got.lengthBytes);
    } else {
      const startMs = clock.nowMs();
      const saved = await store.save(key, shard, slot, generation, stored);
      const sizeBytes = saved === 'stored' ? got.lengthBytes : -1;
      filed('filewrite', resident, sizeBytes, clock.nowMs() - startMs, 'disk');
    }
    this.#evictable(resident);
  }

  /**
   * Keeps an abandoned shard that became complete after all. False if a newer fetch of the same
   * shard has begun.
   */
  #readopt(resident: Resident): boolean {
    const name = `${resident.key}/${resident.shard}`;
    if (this.#residents.has(name)) return false;
    this.#residents.set(name, resident);
    return true;
  }

  /** The slot may be evicted from now on: its content is on disk, or cannot be stored. */
  #evictable(resident: Resident): void {
    const { arena, residency } = this.#parts;
    if (arena.generation(resident.slot) !== resident.generation) return;
    arena.setState(resident.slot, SlotState.complete);
    residency.settle(resident.slot);
  }

  #fail(resident: Resident, error: ShoalError, of: OriginTarget | null = null): void {
    resident.filling = null;
    this.#forget(resident);
    if (resident.slot >= 0) this.#parts.residency.discard(resident.slot);
    for (const interest of [...resident.interests]) interest.failed(error, of);
    resident.interests.clear();
    this.#parts.doorbells.ringAll();
  }

  #forget(resident: Resident): void {
    const name = `${resident.key}/${resident.shard}`;
    if (this.#residents.get(name) === resident) this.#residents.delete(name);
  }
}

function filled(stored: StoredShard): ShardFacts {
  return { ...stored, checksum: Buffer.from(stored.checksum).toString('hex') };
}
