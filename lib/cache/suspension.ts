import type { Clock } from '../clock.ts';
import { CACHE_RETRY_MS } from '../limits.ts';

/** What became of one operation, for the log: only changes are worth a line. */
export type Change = 'suspended' | 'resumed' | null;

/** Keeps away from a disk that fails: after `failuresMax` failures in a row nothing is tried for a while, then one probe. */
export class Suspension {
  readonly #clock: Clock;
  readonly #failuresMax: number;
  #failures = 0;
  #retryAtMs: number | null = null;
  #probing = false;

  constructor(clock: Clock, failuresMax: number) {
    this.#clock = clock;
    this.#failuresMax = failuresMax;
  }

  get active(): boolean {
    return this.#retryAtMs !== null;
  }

  /** Whether an operation might be let through now. */
  get open(): boolean {
    return this.#retryAtMs === null || (!this.#probing && this.#clock.nowMs() >= this.#retryAtMs);
  }

  /** Asks to operate; each `ticket` is given back to `ended`. `undefined`: keep away. */
  enter(): 'plain' | 'probe' | undefined {
    if (this.#retryAtMs === null) return 'plain';
    if (!this.open) return undefined;
    this.#probing = true;
    return 'probe';
  }

  /** `ok` null: the operation did not get as far as the disk. What was begun before the suspension proves nothing. */
  ended(ticket: 'plain' | 'probe', ok: boolean | null): Change {
    if (ticket === 'probe') this.#probing = false;
    if (ok === null) return null;
    if (ok) {
      if (this.#retryAtMs !== null && ticket === 'plain') return null;
      this.#failures = 0;
      if (this.#retryAtMs === null) return null;
      this.#retryAtMs = null;
      return 'resumed';
    }
    this.#failures++;
    if (this.#failures < this.#failuresMax) return null;
    const change = this.#retryAtMs === null ? 'suspended' : null;
    this.#retryAtMs = this.#clock.nowMs() + CACHE_RETRY_MS;
    return change;
  }
}
