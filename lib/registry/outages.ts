import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { ShoalError } from '../errors.ts';
import { OUTAGE_ASK_MS, OUTAGE_MS, OUTAGES_MAX } from '../limits.ts';

/**
 * Which registries could not be reached just now. Where an old right would do while a registry is down, who reads need not wait
 * for it to time out each time: it is asked beside them, now and then, until it answers.
 */
export class Outages {
  readonly #clock: Clock;
  readonly #hosts = new LRUCache<string, { failedMs: number; askedMs: number }>({ max: OUTAGES_MAX });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How an exchange with `host` ended: null or what it said, or that it said nothing. */
  note(host: string, error: ShoalError | null): void {
    const nowMs = this.#clock.nowMs();
    // An error that comes at once makes nobody wait, and may be about one thing among many.
    if (error?.code === 'ORIGIN_UNREACHABLE' || error?.code === 'ORIGIN_TIMEOUT') this.#hosts.set(host, { failedMs: nowMs, askedMs: nowMs });
    else if (error === null || error.code === 'ORIGIN_REFUSED') this.#hosts.delete(host);
  }

  /** Whether it said nothing within the last OUTAGE_MS, and nothing since. */
  isDown(host: string): boolean {
    const outage = this.#hosts.get(host);
    return outage !== undefined && this.#clock.nowMs() - outage.failedMs < OUTAGE_MS;
  }

  /** Whether it is time to ask a registry that is down again; true once every OUTAGE_ASK_MS. */
  takeTurn(host: string): boolean {
    const outage = this.#hosts.get(host);
    const nowMs = this.#clock.nowMs();
    if (outage === undefined || nowMs - outage.askedMs < OUTAGE_ASK_MS) return false;
    outage.askedMs = nowMs;
    return true;
  }
}
