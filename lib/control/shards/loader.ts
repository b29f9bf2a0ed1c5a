import type { CacheStore } from '../../cache/store.ts';
import type { Clock } from '../../clock.ts';
import { ShoalError } from '../../errors.ts';
import { SlotSource, SlotState, type Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import type { AskRequest as PeerRequest } from '../../swarm/types.ts';
import type { OriginContext } from '../../workers/messages.ts';
import type { BlobFacts } from './blob-facts.ts';
import type { Residency } from './residency.ts';

/** A shard in memory, or on its way there. */
export interface Resident {
  readonly key: string;
  readonly shard: number;
  /** -1 until it has a slot. */
  slot: number;
  generation: number;
  phase: 'waiting' | 'loading' | 'complete';
  /** Hex; null until it is complete and checked. */
  checksum: string | null;
  lengthBytes: number;
  readonly interests: Set<Interest>;
  /** What fills it now: it can be given up, or offered another way to the origin. */
  filling: Fill | null;
  /** Nobody wanted it any more before it was complete. */
  abandoned: boolean;
}

/** Somebody who wants a shard. Without any, a shard on its way is given up. */
export interface Interest {
  /**
   * The shard has a slot; `cold`: it was not complete in memory when it was asked for. Follow the
   * watermark from here.
   */
  placed(resident: Resident, cold: boolean): void;
  failed(error: ShoalError): void;
  /** A shard that was not complete when it was placed has become so. */
  complete?(resident: Resident): void;
}

/** How to get a shard that is not here: the ways to the origin its askers brought along. */
export interface Way {
  origin: OriginContext | null;
  /**
   * Where in the shard the asker begins to read: from the origin that comes first. null: the shard
   * is brought ahead, nobody waits for it yet.
   */
  sliceBytes: number | null;
  digest: string | null;
  requestId: string;
  /** The other node's request on whose behalf the shard is fetched, when that is why. */
  onBehalf: PeerRequest | null;
}

/** A shard being brought into its slot. */
export interface Fill {
  abandon(): void;
  /** Another asker's way to the origin, for when the first one's is refused. */
  offer(way: Way): void;
}

/**
 * Brings a shard into its slot through the swarm or from the origin; calls exactly one of `done`
 * and `failed`, after which nothing writes to the slot.
 */
export type FillFromSwarm = (
  resident: Resident,
  way: Way,
  done: (got: { lengthBytes: number; totalBytes: number; checksum: string }) => void,
  failed: (error: ShoalError) => void,
) => Fill;

export interface LoaderParts {
  clock: Clock;
  arena: Arena;
  doorbells: Doorbells;
  residency: Residency;
  /** null: no disk cache. */
  store: CacheStore | null;
  facts: BlobFacts;
  fill: FillFromSwarm;
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
  ): void;
  /** A shard was looked for: where it was found, `joined` when already on its way. */
  looked(tier: 'arena' | 'disk' | 'joined' | 'peer' | 'origin'): void;
}

/**
 * Single-flight over shards: memory, then disk, then the swarm.
 *
 *   want -> waiting (for a slot) -> loading -> complete -> (evicted)
 *                 \ abandoned         \ failed: all interests are told, the slot's generation ends
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

  /** What is known of a shard on disk. */
  stored(
    key: string,
    shard: number,
  ): { totalBytes: number; lengthBytes: number; checksum: string } | undefined {
    const stored = this.#parts.store?.has(key, shard);
    return stored === undefined
      ? undefined
      : { ...stored, checksum: Buffer.from(stored.checksum).toString('hex') };
  }

  /** Whether the shard is complete here, in memory or on disk. */
  has(key: string, shard: number): boolean {
    return (
      this.find(key, shard)?.phase === 'complete' ||
      this.#parts.store?.has(key, shard) !== undefined
    );
  }

  /**
   * How many shards of a blob are here, in memory or on disk. Passes over what is in memory, so
   * that its cost does not grow with the blob.
   */
  countOf(key: string): number {
    const stored = this.#parts.store?.shardsOf(key);
    let count = stored?.count ?? 0;
    for (const resident of this.#residents.values())
      if (
        resident.key === key &&
        resident.phase === 'complete' &&
        stored?.has(resident.shard) !== true
      )
        count += 1;
    return count;
  }

  /**
   * Brings the shard into memory; `interest` hears where it is. Returns what to give back with
   * `drop`.
   */
  want(key: string, shard: number, way: Way, interest: Interest): Resident {
    const name = `${key}/${shard}`;
    let resident = this.#residents.get(name);
    if (resident === undefined) {
      resident = newResident(key, shard);
      resident.interests.add(interest);
      this.#residents.set(name, resident);
      void this.#bring(resident, (bringing, done, failed) =>
        this.#parts.fill(bringing, way, done, failed),
      );
      return resident;
    }
    resident.interests.add(interest);
    resident.filling?.offer(way);
    this.#parts.looked(resident.phase === 'complete' ? 'arena' : 'joined');
    if (resident.phase === 'complete') {
      this.#parts.residency.refresh(resident.slot);
      this.#parts.store?.touch(key, shard);
    }
    if (resident.slot >= 0) interest.placed(resident, resident.phase !== 'complete');
    return resident;
  }

  /** Keeps a blob of one shard whose bytes are at hand, and have the digest `key`. */
  put(key: string, bytes: Uint8Array, checksum: string): void {
    if (this.#residents.has(`${key}/0`) || this.has(key, 0)) return;
    const resident = newResident(key, 0);
    this.#residents.set(`${key}/0`, resident);
    void this.#bring(resident, (_resident, done) => {
      this.#parts.arena.bytes(resident.slot, 0, bytes.length).set(bytes);
      this.#parts.arena.setSource(resident.slot, SlotSource.origin);
      queueMicrotask(() => done({ lengthBytes: bytes.length, totalBytes: bytes.length, checksum }));
      return { abandon: () => undefined, offer: () => undefined };
    });
  }

  /**
   * `interest` wants the shard no more; the last one to leave a shard on its way stops it, after
   * `graceMs`.
   */
  drop(resident: Resident, interest: Interest, graceMs = 0): void {
    if (graceMs > 0 && resident.phase !== 'complete') {
      this.#parts.clock.after(graceMs, () => this.drop(resident, interest));
      return;
    }
    resident.interests.delete(interest);
    // One that failed or was given up is over: another try at the same shard may be under way by
    // now.
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

  /**
   * Every byte is here, only the word that it is so has not come yet: readers may be done before we
   * are told.
   */
  #isWhole(resident: Resident): boolean {
    if (resident.slot < 0) return false;
    const lengthBytes = this.#parts.arena.length(resident.slot);
    return lengthBytes >= 0 && this.#parts.arena.received(resident.slot) >= lengthBytes;
  }

  /** Forgets every shard of a blob, in memory and on disk: it was found to be wrong. */
  purge(key: string): void {
    this.#parts.store?.drop(key);
    for (const resident of [...this.#residents.values()]) {
      if (resident.key === key && resident.phase === 'complete') {
        this.#forget(resident);
        this.#parts.residency.discard(resident.slot);
      }
    }
    this.#parts.doorbells.ringAll();
  }

  async #bring(
    resident: Resident,
    fill: (
      resident: Resident,
      done: Parameters<FillFromSwarm>[2],
      failed: Parameters<FillFromSwarm>[3],
    ) => Fill,
  ): Promise<void> {
    const { arena, residency, store } = this.#parts;
    try {
      const slot = await residency.acquire();
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
      // What came from another node is there still; what came from the origin would have to come
      // again.
      isExpendable: () =>
        resident.phase === 'complete' &&
        resident.interests.size === 0 &&
        arena.source(resident.slot) === SlotSource.peer,
    });
    const stored = store?.has(resident.key, resident.shard);
    if (store !== null && stored !== undefined) {
      arena.setSource(resident.slot, SlotSource.disk);
      arena.setLength(resident.slot, stored.lengthBytes, stored.totalBytes);
      this.#tellPlaced(resident);
      const startMs = this.#parts.clock.nowMs();
      const loaded = await store.load(resident.key, resident.shard, resident.slot);
      this.#parts.filed(
        'fileread',
        resident,
        loaded === 'ok' ? stored.lengthBytes : -1,
        this.#parts.clock.nowMs() - startMs,
      );
      if (loaded === 'ok') {
        this.#parts.looked('disk');
        this.#complete(
          resident,
          {
            lengthBytes: stored.lengthBytes,
            totalBytes: stored.totalBytes,
            checksum: Buffer.from(stored.checksum).toString('hex'),
          },
          true,
        );
        return;
      }
      if (resident.abandoned) {
        residency.discard(resident.slot);
        return;
      }
    } else this.#tellPlaced(resident);
    resident.filling = fill(
      resident,
      (got) => this.#complete(resident, got, false),
      (error) => this.#fail(resident, error),
    );
  }

  #tellPlaced(resident: Resident): void {
    for (const interest of [...resident.interests]) interest.placed(resident, true);
  }

  #complete(
    resident: Resident,
    got: { lengthBytes: number; totalBytes: number; checksum: string },
    fromDisk: boolean,
  ): void {
    const { arena, doorbells, residency, store, facts } = this.#parts;
    const { slot } = resident;
    resident.filling = null;
    resident.lengthBytes = got.lengthBytes;
    resident.checksum = got.checksum;
    facts.setTotal(resident.key, got.totalBytes);
    arena.setLength(slot, got.lengthBytes, got.totalBytes);
    arena.setReceived(slot, got.lengthBytes);
    arena.setReleased(slot, got.lengthBytes);
    resident.phase = 'complete';
    if (!fromDisk) this.#parts.looked(arena.source(slot) === SlotSource.origin ? 'origin' : 'peer');
    if (resident.abandoned && !this.#readopt(resident)) {
      residency.discard(slot);
      return;
    }
    if (!fromDisk && store !== null) void this.#save(resident, store, got);
    else this.#evictable(resident);
    doorbells.ringAll();
    for (const interest of [...resident.interests]) interest.complete?.(resident);
    this.#parts.completed(resident, fromDisk);
  }

  async #save(
    resident: Resident,
    store: CacheStore,
    got: { lengthBytes: number; totalBytes: number; checksum: string },
  ): Promise<void> {
    const { clock, filed } = this.#parts;
    const startMs = clock.nowMs();
    const { key, shard, slot, generation } = resident;
    const saved = await store.save(key, shard, slot, generation, {
      ...got,
      checksum: Buffer.from(got.checksum, 'hex'),
    });
    filed(
      'filewrite',
      resident,
      saved === 'stored' ? got.lengthBytes : -1,
      clock.nowMs() - startMs,
    );
    this.#evictable(resident);
  }

  /**
   * An abandoned shard came through all the same; false when another try at it has begun meanwhile.
   */
  #readopt(resident: Resident): boolean {
    const name = `${resident.key}/${resident.shard}`;
    if (this.#residents.has(name)) return false;
    this.#residents.set(name, resident);
    return true;
  }

  /** From now on the slot may be taken: what is in it is on disk, or cannot be put there. */
  #evictable(resident: Resident): void {
    const { arena, residency } = this.#parts;
    if (arena.generation(resident.slot) !== resident.generation) return;
    arena.setState(resident.slot, SlotState.complete);
    residency.settle(resident.slot);
  }

  #fail(resident: Resident, error: ShoalError): void {
    resident.filling = null;
    this.#forget(resident);
    if (resident.slot >= 0) this.#parts.residency.discard(resident.slot);
    for (const interest of [...resident.interests]) interest.failed(error);
    resident.interests.clear();
    this.#parts.doorbells.ringAll();
  }

  #forget(resident: Resident): void {
    const name = `${resident.key}/${resident.shard}`;
    if (this.#residents.get(name) === resident) this.#residents.delete(name);
  }
}

function newResident(key: string, shard: number): Resident {
  return {
    key,
    shard,
    slot: -1,
    generation: 0,
    phase: 'waiting',
    checksum: null,
    lengthBytes: -1,
    interests: new Set(),
    filling: null,
    abandoned: false,
  };
}
