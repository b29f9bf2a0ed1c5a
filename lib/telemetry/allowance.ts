import type { Clock } from '../clock.ts';

/** A rate limit per second, for log lines that a client can cause at will. */
export class Allowance {
  readonly #perSecond: number;
  readonly #clock: Clock;
  #second = -1;
  #left = 0;

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Takes one of this second's; false when none is left. */
  take(): boolean {
    const second = Math.floor(this.#clock.nowMs() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#left = this.#perSecond;
    }
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}
