import type { Clock } from '../../clock.ts';
import { ShoalError } from '../../errors.ts';
import { SlotState, type Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import { LOCAL, ShareQueue, type Share } from '../../share-queue.ts';
import {
  ARENA_WAIT_DEADLINE_MS,
  ARENA_SHARE_WAITERS_MAX,
  ARENA_WAITERS_MAX,
  FRESH_SLOT_MS,
  SAVE_PATIENCE_MS,
  SLOT_SHARES,
} from '../limits.ts';

/** The user of a slot. */
export interface SlotOwner {
  /** The slot has been taken for something else. */
  evicted(): void;
  /** Whether a reader is known to need the slot soon; such slots are evicted last. */
  isWanted(): boolean;
  /**
   * Whether the slot is complete and may be lost although it is not on disk yet. Such slots are
   * taken when others have waited SAVE_PATIENCE_MS for the disk.
   */
  isExpendable(): boolean;
}

/** What control keeps per slot of the arena. */
interface SlotRecord {
  owner: SlotOwner;
  /** The slot is not evicted before this time: a requester knows it and has not read it yet. */
  freshUntilMs: number;
}

interface Waiter {
  share: Share;
  resolve(slot: number): void;
  reject(error: ShoalError): void;
  sinceMs: number;
}

/**
 * Assigns the slots of the arena: free ones first, then complete ones by CLOCK (second chance),
 * unwanted before wanted; never one that is pinned, being filled, or fresh. Without such a slot the
 * requester waits, up to a deadline, so memory never grows. Shards that are being received from
 * upstreams have shares of the slots until they are complete (SLOT_SHARES). So a silent upstream
 * cannot hold all memory, and a shard on disk always finds a slot.
 */
export class Residency {
  readonly #arena: Arena;
  readonly #doorbells: Doorbells;
  readonly #clock: Clock;
  readonly #onEvict: (kind: 'arena' | 'unstored') => void;
  readonly #free: number[] = [];
  readonly #records = new Map<number, SlotRecord>();
  readonly #waiters: ShareQueue<Waiter>;
  /** Shares that slots use until they are settled or discarded. */
  readonly #shares = new Map<number, Share>();
  #hand = 0;
  #retryArmed = false;

  constructor(
    arena: Arena,
    doorbells: Doorbells,
    clock: Clock,
    onEvict: (kind: 'arena' | 'unstored') => void = () => undefined,
  ) {
    this.#onEvict = onEvict;
    this.#arena = arena;
    this.#doorbells = doorbells;
    this.#clock = clock;
    const slots = (part: number): number => Math.max(1, Math.floor(arena.slotCount * part));
    this.#waiters = new ShareQueue({
      read: {
        lane: slots(SLOT_SHARES.lane),
        upstream: slots(SLOT_SHARES.upstream),
        unvouched: slots(SLOT_SHARES.unvouched),
        client: slots(SLOT_SHARES.client),
      },
    });
    for (let slot = arena.slotCount - 1; slot >= 0; slot--) {
      arena.tryLock(slot);
      this.#free.push(slot);
    }
  }

  get usedSlots(): number {
    return this.#arena.slotCount - this.#free.length;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** How long the oldest request has waited that its share does not hold back; 0: there is none. */
  get stalledMs(): number {
    const next = this.#waiters.peek();
    return next === null ? 0 : this.#clock.nowMs() - next.sinceMs;
  }

  /** A locked slot, now or later. Rejects with OVERLOADED when none comes free in time. */
  acquire(share: Share = LOCAL): Promise<number> {
    if (
      this.#waiters.waiting(share) >= ARENA_SHARE_WAITERS_MAX ||
      (share !== LOCAL && this.#waiters.size >= ARENA_WAITERS_MAX)
    )
      return Promise.reject(
        new ShoalError(
          'OVERLOADED',
          'every slot of memory is in use and too many shards wait for one; raise ' +
            'CacheConfig.memory',
        ),
      );
    return new Promise((resolve, reject) => {
      this.#waiters.push({ share, resolve, reject, sinceMs: this.#clock.nowMs() });
      this.#serve();
    });
  }

  /** Takes note of a slot in use; it is only evicted once `settle`d, or expendable. */
  hold(slot: number, owner: SlotOwner): void {
    this.#records.set(slot, { owner, freshUntilMs: Number.POSITIVE_INFINITY });
  }

  /** The slot is complete: it may be evicted, after a while in which it can be read. */
  settle(slot: number): void {
    const record = this.#records.get(slot);
    if (record !== undefined) record.freshUntilMs = this.#clock.nowMs() + FRESH_SLOT_MS;
    this.#endShare(slot);
    this.#serve();
  }

  /** Keeps the slot a while longer: a requester has just got its place. */
  refresh(slot: number): void {
    const record = this.#records.get(slot);
    if (record !== undefined && record.freshUntilMs !== Number.POSITIVE_INFINITY)
      record.freshUntilMs = this.#clock.nowMs() + FRESH_SLOT_MS;
  }

  /**
   * Gives up a slot whose content is invalid. Its generation ends at once and wakes its followers.
   * It is used again once the last reader has unpinned it.
   */
  discard(slot: number): void {
    this.#records.delete(slot);
    this.#endShare(slot);
    if (!this.#arena.tryLock(slot)) {
      this.#clock.after(1, () => this.discard(slot));
      return;
    }
    this.#arena.begin(slot);
    this.#arena.setState(slot, SlotState.free);
    // A reader that still knows the old generation may pin the slot for a moment.
    while (!this.#arena.tryLock(slot));
    this.#free.push(slot);
    this.#doorbells.ringAll();
    this.#serve();
  }

  #endShare(slot: number): void {
    const share = this.#shares.get(slot);
    if (share === undefined) return;
    this.#shares.delete(slot);
    this.#waiters.over(share);
  }

  #take(): number | undefined {
    return this.#free.pop() ?? this.#evict(false) ?? this.#evict(true);
  }

  /** One turn of the clock; `wanted`: also slots that a reader needs soon. */
  #evict(wanted: boolean): number | undefined {
    const nowMs = this.#clock.nowMs();
    // Two rounds: the first clears second chances, the second finds a slot without one.
    for (let looked = 0; looked < 2 * this.#arena.slotCount; looked++) {
      const slot = this.#step();
      const record = this.#records.get(slot);
      if (
        record === undefined ||
        this.#arena.state(slot) !== SlotState.complete ||
        (!wanted && record.owner.isWanted())
      )
        continue;
      const used = this.#arena.takeUsed(slot);
      // A fresh slot that has been read is no longer fresh.
      if (used) record.freshUntilMs = Math.min(record.freshUntilMs, nowMs);
      if (!used && record.freshUntilMs <= nowMs && this.#arena.tryLock(slot))
        return this.#taken(slot, record);
    }
    return undefined;
  }

  /** A slot whose content has not been stored and need not be. */
  #expend(): number | undefined {
    for (let looked = 0; looked < this.#arena.slotCount; looked++) {
      const slot = this.#step();
      const record = this.#records.get(slot);
      if (
        record !== undefined &&
        this.#arena.state(slot) === SlotState.filling &&
        record.owner.isExpendable() &&
        this.#arena.tryLock(slot)
      )
        return this.#taken(slot, record);
    }
    return undefined;
  }

  #step(): number {
    const slot = this.#hand;
    this.#hand = (this.#hand + 1) % this.#arena.slotCount;
    return slot;
  }

  #taken(slot: number, record: SlotRecord): number {
    this.#records.delete(slot);
    this.#endShare(slot);
    this.#onEvict(this.#arena.state(slot) === SlotState.complete ? 'arena' : 'unstored');
    record.owner.evicted();
    return slot;
  }

  #serve(): void {
    for (;;) {
      const next = this.#waiters.peek();
      if (next === null) break;
      const isLate = this.#clock.nowMs() - next.sinceMs >= SAVE_PATIENCE_MS;
      const slot = this.#take() ?? (isLate ? this.#expend() : undefined);
      if (slot === undefined) break;
      const waiter = this.#waiters.take()!;
      this.#shares.set(slot, waiter.share);
      waiter.resolve(slot);
    }
    if (this.#waiters.size > 0) this.#arm();
  }

  /** Looks again a little later: the end of a pin or of freshness causes no event. */
  #arm(): void {
    if (this.#retryArmed) return;
    this.#retryArmed = true;
    this.#clock.after(2, () => {
      this.#retryArmed = false;
      const nowMs = this.#clock.nowMs();
      const late = this.#waiters.expire(({ sinceMs }) => nowMs - sinceMs > ARENA_WAIT_DEADLINE_MS);
      for (const { reject } of late)
        reject(new ShoalError('OVERLOADED', 'no slot of memory came free in time'));
      this.#serve();
    });
  }
}
