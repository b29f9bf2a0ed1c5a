import { RATE_WINDOW_SECONDS } from './limits.ts';

/**
 * Rates of running totals over the last window: a ring of samples, one per tick (once a second).
 * The rate is (newest - oldest) / (time between them), so an irregular tick does not distort it.
 */
export class RateWindow {
  readonly #samples: { atMs: number; totals: readonly number[] }[] = [];
  readonly #samplesMax: number;

  constructor(windowSeconds = RATE_WINDOW_SECONDS) {
    this.#samplesMax = windowSeconds + 1;
  }

  push(nowMs: number, totals: readonly number[]): void {
    this.#samples.push({ atMs: nowMs, totals });
    if (this.#samples.length > this.#samplesMax) this.#samples.shift();
  }

  /** Per second, of the total at `index`; 0 before the second sample. */
  rate(index: number): number {
    const oldest = this.#samples[0];
    const newest = this.#samples.at(-1);
    if (oldest === undefined || newest === undefined || newest.atMs <= oldest.atMs) return 0;
    return Math.max(
      0,
      ((newest.totals[index]! - oldest.totals[index]!) * 1000) / (newest.atMs - oldest.atMs),
    );
  }
}

/** The largest value of the last window: a ring of the maxima of single ticks. */
export class MaxWindow {
  readonly #maxima: number[] = [];
  readonly #windowSeconds: number;

  constructor(windowSeconds = RATE_WINDOW_SECONDS) {
    this.#windowSeconds = windowSeconds;
  }

  push(maximum: number): void {
    this.#maxima.push(maximum);
    if (this.#maxima.length > this.#windowSeconds) this.#maxima.shift();
  }

  max(): number {
    return this.#maxima.reduce((a, b) => Math.max(a, b), 0);
  }
}
