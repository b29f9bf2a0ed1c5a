import type { Clock } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { SlotState, type Arena } from '../io/arena.ts';
import type { Doorbells } from '../io/doorbell.ts';
import { ARENA_WAIT_DEADLINE_MS, ARENA_WAITERS_MAX, FRESH_SLOT_MS } from '../limits.ts';

/** What control keeps beside each slot of the arena. */
interface SlotRecord {
  /** Called when the slot is taken for something else. */
  evicted: () => void;
  /** Until then the slot is spared: somebody asked for it and has not read it yet. */
  freshUntilMs: number;
}

interface Waiter {
  resolve(slot: number): void;
  reject(error: ShoalError): void;
  deadlineMs: number;
}

/**
 * Who gets a slot of the arena: free ones first, then complete ones by CLOCK (second chance), never one
 * that is pinned, being filled, or fresh. When there is none, the asker waits, in order, to a deadline:
 * memory never grows.
 */
export class Residency {
  readonly #arena: Arena;
  readonly #doorbells: Doorbells;
  readonly #clock: Clock;
  readonly #onEvict: () => void;
  readonly #free: number[] = [];
  readonly #records = new Map<number, SlotRecord>();
  readonly #waiters: Waiter[] = [];
  #hand = 0;
  #retryArmed = false;

  constructor(arena: Arena, doorbells: Doorbells, clock: Clock, onEvict: () => void = () => undefined) {
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
    if (this.#waiters.length >= ARENA_WAITERS_MAX) return Promise.reject(new ShoalError('OVERLOADED', 'every slot of memory is in use and too many shards wait for one'));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject, deadlineMs: this.#clock.nowMs() + ARENA_WAIT_DEADLINE_MS });
      this.#arm();
    });
  }

  /** Takes note of a slot in use; `evicted` is called when it is taken away, which only happens once `settle`d. */
  hold(slot: number, evicted: () => void): void {
    this.#records.set(slot, { evicted, freshUntilMs: Number.POSITIVE_INFINITY });
  }

  /** The slot is complete: it may be evicted, after a while in which who asked for it can read it. */
  settle(slot: number): void {
    const record = this.#records.get(slot);
    if (record !== undefined) record.freshUntilMs = this.#clock.nowMs() + FRESH_SLOT_MS;
    this.#serve();
  }

  /** Spares the slot a while longer: somebody was just told of it. */
  refresh(slot: number): void {
    const record = this.#records.get(slot);
    if (record !== undefined && record.freshUntilMs !== Number.POSITIVE_INFINITY) record.freshUntilMs = this.#clock.nowMs() + FRESH_SLOT_MS;
  }

  /**
   * Gives up a slot whose content is void. Its generation ends at once, so nobody follows it any more (and who did is woken);
   * it is used again once the last reader has let go.
   */
  discard(slot: number): void {
    this.#records.delete(slot);
    if (!this.#arena.tryLock(slot)) {
      this.#clock.after(1, () => this.discard(slot));
      return;
    }
    this.#arena.begin(slot);
    this.#arena.setState(slot, SlotState.free);
    // A reader that still knows the old generation may hold a pin for the instant it takes to find out.
    while (!this.#arena.tryLock(slot));
    this.#free.push(slot);
    this.#doorbells.ringAll();
    this.#serve();
  }

  #take(): number | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const nowMs = this.#clock.nowMs();
    // Two rounds: the first takes second chances away, the second finds who has none left.
    for (let looked = 0; looked < 2 * this.#arena.slotCount; looked++) {
      const slot = this.#hand;
      this.#hand = (this.#hand + 1) % this.#arena.slotCount;
      const record = this.#records.get(slot);
      if (record === undefined || this.#arena.state(slot) !== SlotState.complete) continue;
      const used = this.#arena.takeUsed(slot);
      // A fresh slot that has been read is fresh no more.
      if (used) record.freshUntilMs = Math.min(record.freshUntilMs, nowMs);
      if (used || record.freshUntilMs > nowMs || !this.#arena.tryLock(slot)) continue;
      this.#records.delete(slot);
      this.#onEvict();
      record.evicted();
      return slot;
    }
    return undefined;
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const slot = this.#take();
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
      while (this.#waiters[0] !== undefined && this.#waiters[0].deadlineMs < nowMs) this.#waiters.shift()!.reject(new ShoalError('OVERLOADED', 'no slot of memory came free in time'));
      this.#serve();
    });
  }
}
