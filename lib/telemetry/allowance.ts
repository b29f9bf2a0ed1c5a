import type { Clock } from '../clock.ts';

/** So many a second, no more: for what a client can bring about as often as it likes. */
export class Allowance {
  readonly #perSecond: number;
  readonly #clock: Clock;
  #second = -1;
  #left = 0;

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Whether there is one left in this second; takes it. */
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
