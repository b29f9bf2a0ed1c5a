/** A pending timer; cancelling twice, or after it fired, is harmless. */
export interface Timer {
  cancel(): void;
}

/** Time, handed in: the node uses the system's, tests and the simulator their own. */
export interface Clock {
  /** Milliseconds since the Unix epoch, for what leaves the process (signatures, logs, files). */
  wallMs(): number;
  /** Monotonic milliseconds with a fraction, for every duration and deadline. */
  nowMs(): number;
  /** Calls `fire` once, no earlier than `delayMs` from now. */
  after(delayMs: number, fire: () => void): Timer;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
  after(delayMs, fire) {
    const handle = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * A clock that stands still until told: timers fire in order of their time, then of their making.
 */
export class ManualClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #startWallMs: number;
  readonly #timers = new Map<number, { atMs: number; fire: () => void }>();

  constructor(startWallMs = 1_700_000_000_000) {
    this.#startWallMs = startWallMs;
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fire: () => void): Timer {
    const id = this.#sequence++;
    this.#timers.set(id, { atMs: this.#nowMs + Math.max(0, delayMs), fire });
    return { cancel: () => void this.#timers.delete(id) };
  }

  /** Moves time on by `ms`, firing what falls due on the way, timers made meanwhile included. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      let next: { id: number; atMs: number; fire: () => void } | undefined;
      for (const [id, timer] of this.#timers) {
        if (timer.atMs <= endMs && (next === undefined || timer.atMs < next.atMs))
          next = { id, ...timer };
      }
      if (next === undefined) break;
      this.#timers.delete(next.id);
      this.#nowMs = next.atMs;
      next.fire();
    }
    this.#nowMs = endMs;
  }
}
