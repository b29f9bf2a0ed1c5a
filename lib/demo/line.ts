import type { Clock } from '../clock.ts';

/** A line of limited rate that several answers share, each step in its turn. */
export class Line {
  readonly bytesPerSecond: number;
  readonly #clock: Clock;
  #freeMs = 0;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  /** Resolves when `bytes` have gone over the line, after all that was asked for before. */
  async pass(bytes: number): Promise<void> {
    const nowMs = this.#clock.nowMs();
    this.#freeMs = Math.max(nowMs, this.#freeMs) + (bytes / this.bytesPerSecond) * 1_000;
    // A timer is late by about a millisecond: a step that is nearly due does not wait.
    const waitMs = this.#freeMs - nowMs;
    if (waitMs >= 1) await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve));
  }
}
