import type { Clock } from '../../clock.ts';
import { ShoalError } from '../../errors.ts';
import { SlotState, type Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import {
  ARENA_WAIT_DEADLINE_MS,
  ARENA_WAITERS_MAX,
  FRESH_SLOT_MS,
  SAVE_PATIENCE_MS,
} from '../limits.ts';

/** Whom a slot belongs to while it is in use. */
export interface SlotOwner {
  /** The slot is taken for something else. */
  evicted(): void;
  /** Whether somebody is known to read it soon: such slots are taken last. */
  isWanted(): boolean;
  /**
   * Whether what is in it is complete and may be lost though it waits to be stored: taken when
   * others have waited for the disk long enough.
   */
  isExpendable(): boolean;
}

/** What control keeps beside each slot of the arena. */
interface SlotRecord {
  owner: SlotOwner;
  /** Until then the slot is spared: somebody asked for it and has not read it yet. */
  freshUntilMs: number;
}

interface Waiter {
  resolve(slot: number): void;
  reject(error: ShoalError): void;
  sinceMs: number;
}

/**
 * Who gets a slot of the arena: free ones first, then complete ones by CLOCK (second chance), those
 * that nobody is about to read before the others, never one that is pinned, being filled, or fresh.
 * When there is none, the asker waits, in order, to a deadline: memory never grows. Slots that wait
 * for a slow disk are given up for those who have waited SAVE_PATIENCE_MS.
 */
export class Residency {
  readonly #arena: Arena;
  readonly #doorbells: Doorbells;
  readonly #clock: Clock;
  readonly #onEvict: (kind: 'arena' | 'unstored') => void;
  readonly #free: number[] = [];
  readonly #records = new Map<number, SlotRecord>();
  readonly #waiters: Waiter[] = [];
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
    for (let slot = arena.slotCount - 1; slot >= 0; slot--) {
      arena.tryLock(slot);
      this.#free.push(slot);
    }
  }

  get usedSlots(): number {
    return this.#arena.slotCount - this.#free.length;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** A locked slot, now or later. Rejects with OVERLOADED when none comes free in time. */
  acquire(): Promise<number> {
    const slot = this.#waiters.length === 0 ? this.#take() : undefined;
    if (slot !== undefined) return Promise.resolve(slot);
    if (this.#waiters.length >= ARENA_WAITERS_MAX)
      return Promise.reject(
        new ShoalError(
          'OVERLOADED',
          'every slot of memory is in use and too many shards wait for one',
        ),
      );
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject, sinceMs: this.#clock.nowMs() });
      this.#arm();
    });
  }

  /** Takes note of a slot in use; it is only taken away once `settle`d, or expendable. */
  hold(slot: number, owner: SlotOwner): void {
    this.#records.set(slot, { owner, freshUntilMs: Number.POSITIVE_INFINITY });
  }

  /**
   * The slot is complete: it may be evicted, after a while in which who asked for it can read it.
   */
  settle(slot: number): void {
    const record = this.#records.get(slot);
    if (record !== undefined) record.freshUntilMs = this.#clock.nowMs() + FRESH_SLOT_MS;
    this.#serve();
  }

  /** Spares the slot a while longer: somebody was just told of it. */
  refresh(slot: number): void {
    const record = this.#records.get(slot);
    if (record !== undefined && record.freshUntilMs !== Number.POSITIVE_INFINITY)
      record.freshUntilMs = this.#clock.nowMs() + FRESH_SLOT_MS;
  }

  /**
   * Gives up a slot whose content is void. Its generation ends at once, so nobody follows it any
   * more (and who did is woken); it is used again once the last reader has let go.
   */
  discard(slot: number): void {
    this.#records.delete(slot);
    if (!this.#arena.tryLock(slot)) {
      this.#clock.after(1, () => this.discard(slot));
      return;
    }
    this.#arena.begin(slot);
    this.#arena.setState(slot, SlotState.free);
    // A reader that still knows the old generation may hold a pin for the instant it takes to find
    // out.
    while (!this.#arena.tryLock(slot));
    this.#free.push(slot);
    this.#doorbells.ringAll();
    this.#serve();
  }

  #take(): number | undefined {
    return this.#free.pop() ?? this.#evict(false) ?? this.#evict(true);
  }

  /** One turn of the clock; `wanted`: also what somebody is about to read. */
  #evict(wanted: boolean): number | undefined {
    const nowMs = this.#clock.nowMs();
    // Two rounds: the first takes second chances away, the second finds who has none left.
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
      // A fresh slot that has been read is fresh no more.
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
    this.#onEvict(this.#arena.state(slot) === SlotState.complete ? 'arena' : 'unstored');
    record.owner.evicted();
    return slot;
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const isLate = this.#clock.nowMs() - this.#waiters[0]!.sinceMs >= SAVE_PATIENCE_MS;
      const slot = this.#take() ?? (isLate ? this.#expend() : undefined);
      if (slot === undefined) break;
      this.#waiters.shift()!.resolve(slot);
    }
    if (this.#waiters.length > 0) this.#arm();
  }

  /** Looks again a little later: a pin or a fresh slot ends without telling us. */
  #arm(): void {
    if (this.#retryArmed) return;
    this.#retryArmed = true;
    this.#clock.after(2, () => {
      this.#retryArmed = false;
      const nowMs = this.#clock.nowMs();
      while (
        this.#waiters[0] !== undefined &&
        nowMs - this.#waiters[0].sinceMs > ARENA_WAIT_DEADLINE_MS
      )
        this.#waiters
          .shift()!
          .reject(new ShoalError('OVERLOADED', 'no slot of memory came free in time'));
      this.#serve();
    });
  }
}
