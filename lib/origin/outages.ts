import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { ShoalError } from '../errors.ts';
import { OUTAGE_ASK_MS, OUTAGE_MS, OUTAGES_MAX } from './limits.ts';
import { splitUrl } from '../registry/url.ts';

/**
 * Which registries could not be reached just now. Where an old right would do while a registry is
 * down, who reads need not wait for it to time out each time: it is asked beside them, now and
 * then, until it answers. A registry is known by a URL of its own, of which scheme, host and port
 * count: that nobody listens at its `http://` must not make old rights count at its `https://`.
 */
export class Outages {
  readonly #clock: Clock;
  readonly #origins = new LRUCache<string, { failedMs: number; askedMs: number }>({
    max: OUTAGES_MAX,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How an exchange at `url` ended: null or what it said, or that it said nothing. */
  note(url: string, error: ShoalError | null): void {
    const { origin } = splitUrl(url);
    const nowMs = this.#clock.nowMs();
    // An error that comes at once makes nobody wait, and may be about one thing among many.
    if (error?.code === 'ORIGIN_UNREACHABLE' || error?.code === 'ORIGIN_TIMEOUT')
      this.#origins.set(origin, { failedMs: nowMs, askedMs: nowMs });
    else if (error === null || error.code === 'ORIGIN_REFUSED') this.#origins.delete(origin);
  }

  /** Whether it said nothing within the last OUTAGE_MS, and nothing since. */
  isDown(url: string): boolean {
    const outage = this.#origins.get(splitUrl(url).origin);
    return outage !== undefined && this.#clock.nowMs() - outage.failedMs < OUTAGE_MS;
  }

  /** Whether it is time to ask a registry that is down again; true once every OUTAGE_ASK_MS. */
  takeTurn(url: string): boolean {
    const outage = this.#origins.get(splitUrl(url).origin);
    const nowMs = this.#clock.nowMs();
    if (outage === undefined || nowMs - outage.askedMs < OUTAGE_ASK_MS) return false;
    outage.askedMs = nowMs;
    return true;
  }
}
