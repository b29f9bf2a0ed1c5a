import type { Clock } from '../clock.ts';
import { CACHE_RETRY_MS } from './limits.ts';

/** The outcome of one operation, for the log; only changes are logged. */
type Change = 'suspended' | 'resumed' | null;

/**
 * Suspends use of a failing disk: after `failuresMax` failures in a row nothing is tried for
 * CACHE_RETRY_MS, then one probe.
 */
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

  /** Whether an operation may run now. */
  get open(): boolean {
    return this.#retryAtMs === null || (!this.#probing && this.#clock.nowMs() >= this.#retryAtMs);
  }

  /** Asks to run an operation; pass the ticket to `ended`. `undefined`: suspended. */
  enter(): 'plain' | 'probe' | undefined {
    if (this.#retryAtMs === null) return 'plain';
    if (!this.open) return undefined;
    this.#probing = true;
    return 'probe';
  }

  /**
   * `failed` counts towards the suspension, `hopeless` is enough by itself, `void`: the operation
   * did not reach the disk. The success of an operation that began before the suspension proves
   * nothing.
   */
  ended(ticket: 'plain' | 'probe', how: 'ok' | 'failed' | 'hopeless' | 'void'): Change {
    if (ticket === 'probe') this.#probing = false;
    if (how === 'void') return null;
    if (how === 'ok') {
      if (this.#retryAtMs !== null && ticket === 'plain') return null;
      const change = this.#retryAtMs === null ? null : 'resumed';
      this.#failures = 0;
      this.#retryAtMs = null;
      return change;
    }
    this.#failures++;
    if (how === 'failed' && this.#failures < this.#failuresMax) return null;
    const change = this.#retryAtMs === null ? 'suspended' : null;
    this.#retryAtMs = this.#clock.nowMs() + CACHE_RETRY_MS;
    return change;
  }
}
