import { ORIGIN_RAMP_GAIN_MIN, ORIGIN_RAMP_PROBE_ROUNDS, ORIGIN_REQUESTS_MIN } from './limits.ts';

/**
 * How many requests to one upstream are under way at once. Requests that share a line come late
 * together, the first with the last, so there are only as many as raise the throughput: it begins
 * with ORIGIN_REQUESTS_MIN and doubles from round to round while a round (as many completions as
 * requests at once) brings ORIGIN_RAMP_GAIN_MIN times the rate of the one before. Then it stays,
 * and tries twice as many again every ORIGIN_RAMP_PROBE_ROUNDS rounds.
 */
export class OriginRamp {
  readonly #requestsMax: number;
  #requests: number;
  /** The rate, in shards per millisecond, that the next round is compared with. */
  #rate = 0;
  /** Whether this round has twice as many requests as the one before. */
  #isTrial = true;
  #sinceTrial = 0;
  #startMs = Number.NaN;
  #completions = 0;
  #shards = 0;

  constructor(requestsMax: number) {
    this.#requestsMax = requestsMax;
    this.#requests = Math.min(requestsMax, ORIGIN_REQUESTS_MIN);
  }

  /** Requests that may be under way. */
  get requests(): number {
    return this.#requests;
  }

  /** A request has been sent. */
  begun(nowMs: number): void {
    if (Number.isNaN(this.#startMs)) this.#startMs = nowMs;
  }

  /**
   * A request for so many shards has ended; `isWaiting`: others wait for its place; `waitShare`:
   * the part of its time before the first byte, in which it left the line to others.
   */
  ended(nowMs: number, shards: number, isWaiting: boolean, waitShare: number): void {
    this.#completions++;
    this.#shards += shards;
    // Without others that wait, the rate is that of the demand and says nothing of the line.
    if (!isWaiting) return this.#beginRound(Number.NaN);
    if (this.#completions < this.#requests) return;
    const rate = this.#shards / Math.max(nowMs - this.#startMs, Number.EPSILON);
    this.#beginRound(nowMs);
    if (!this.#isTrial) {
      this.#rate = rate;
      if (++this.#sinceTrial >= ORIGIN_RAMP_PROBE_ROUNDS) this.#double();
    } else if (rate >= ORIGIN_RAMP_GAIN_MIN * this.#rate) {
      if (this.#rate === 0) this.#requests *= headStart(waitShare);
      this.#rate = rate;
      this.#double();
    } else {
      this.#requests /= 2;
      this.#isTrial = false;
      this.#sinceTrial = 0;
    }
  }

  #double(): void {
    this.#requests = Math.min(this.#requests, this.#requestsMax);
    this.#isTrial = this.#requests * 2 <= this.#requestsMax;
    this.#sinceTrial = 0;
    if (this.#isTrial) this.#requests *= 2;
  }

  #beginRound(startMs: number): void {
    this.#startMs = startMs;
    this.#completions = 0;
    this.#shards = 0;
  }
}

/**
 * How many times as many requests the first round shows to be needed, beside the doubling: where
 * each waits for most of its time, the line is idle meanwhile. A power of two, at most four.
 */
function headStart(waitShare: number): number {
  return waitShare >= 5 / 6 ? 4 : waitShare >= 1 / 2 ? 2 : 1;
}
