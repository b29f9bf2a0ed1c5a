import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { ShoalError } from '../errors.ts';
import { OUTAGE_ASK_MS, OUTAGE_MS, OUTAGES_MAX, PING_AGAIN_MS, PING_FRESH_MS } from './limits.ts';
import { splitUrl } from '../registry/url.ts';

/**
 * The status that `<origin>/v2/` answered to this node; null: no connection, or no answer;
 * `unasked`: this node could not ask, for example because it has no descriptor left.
 */
export type PingAnswer = number | 'unasked' | null;
export type Ping = (origin: string) => Promise<PingAnswer>;

interface Observed {
  /** When a ping last failed. */
  failedMs: number;
  /** When the registry was last asked beside a stale answer. */
  askedMs: number;
}

/**
 * Which registries are down, by this node's own observation. Old rights count only during an
 * outage, so whoever holds a revoked credential would like to cause the appearance of one. A failed
 * request is therefore only a reason to look: whether the registry is down is decided by this
 * node's own ping of `/v2/`, on a connection that no client can occupy. A slow path, an error of
 * one path and a node that is too busy to ask are no outages.
 *
 * A registry is known by scheme, host and port: nobody listening at its `http://` is no outage of
 * its `https://`.
 */
export class Outages {
  readonly #clock: Clock;
  readonly #ping: Ping;
  readonly #down = new LRUCache<string, Observed>({ max: OUTAGES_MAX });
  /** When a registry last answered a ping. */
  readonly #up = new LRUCache<string, number>({ max: OUTAGES_MAX });
  readonly #looking = new Map<string, Promise<boolean>>();

  constructor(clock: Clock, ping: Ping) {
    this.#clock = clock;
    this.#ping = ping;
  }

  /** A request to `url` has ended: null, or with this error. An answer ends an outage. */
  note(url: string, error: ShoalError | null): void {
    if (error !== null && !(error.code === 'ORIGIN_REFUSED' && error.status < 500)) return;
    this.#down.delete(splitUrl(url).origin);
  }

  /** Whether a ping has failed within the last OUTAGE_MS, with no answer since. */
  isDown(url: string): boolean {
    const observed = this.#down.get(splitUrl(url).origin);
    return observed !== undefined && this.#clock.nowMs() - observed.failedMs < OUTAGE_MS;
  }

  /**
   * A request to `url` has failed as it would during an outage: is there one? Pings the registry
   * unless that was done just now; concurrent calls share one ping.
   */
  confirm(url: string): Promise<boolean> {
    const { origin } = splitUrl(url);
    if (this.isDown(url)) return Promise.resolve(true);
    const upMs = this.#up.get(origin);
    if (upMs !== undefined && this.#clock.nowMs() - upMs < PING_FRESH_MS)
      return Promise.resolve(false);
    let looking = this.#looking.get(origin);
    if (looking === undefined) {
      looking = this.#look(origin).finally(() => this.#looking.delete(origin));
      this.#looking.set(origin, looking);
    }
    return looking;
  }

  /** Whether it is time to ask a registry that is down again; true once every OUTAGE_ASK_MS. */
  takeTurn(url: string): boolean {
    const observed = this.#down.get(splitUrl(url).origin);
    const nowMs = this.#clock.nowMs();
    if (observed === undefined || nowMs - observed.askedMs < OUTAGE_ASK_MS) return false;
    observed.askedMs = nowMs;
    return true;
  }

  async #look(origin: string): Promise<boolean> {
    let status = await this.#ping(origin);
    // One error of a gateway may pass; a second one says that there is nothing behind it.
    if (typeof status === 'number' && isBrokenGateway(status)) {
      await new Promise<void>((resolve) => this.#clock.after(PING_AGAIN_MS, resolve));
      status = await this.#ping(origin);
    }
    if (status === 'unasked') return false;
    const nowMs = this.#clock.nowMs();
    if (status === null || isBrokenGateway(status)) {
      this.#down.set(origin, { failedMs: nowMs, askedMs: nowMs });
      return true;
    }
    this.#down.delete(origin);
    this.#up.set(origin, nowMs);
    return false;
  }
}

/** 503 and 429 say "too many requests", which clients can cause; they are no outage. */
function isBrokenGateway(status: number): boolean {
  return status >= 500 && status !== 503;
}
