import { LRUCache } from 'lru-cache';
import {
  ROUND_TRIP_HOSTS_MAX,
  ROUND_TRIP_KEPT_MS,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_MIN,
  WINDOW_QUEUE_MS,
} from './limits.ts';

/**
 * What the other side of a connection may have under way, in bytes, on a line that brings
 * `lineBytesPerMs`; null: there need be no bound. Several senders share a node's line. Each would
 * fill the queue before it until that overflows, and what is lost has to be sent again.
 *
 * It is what the line brings in a round trip and in as long again, at least WINDOW_QUEUE_MS: so a
 * connection alone can fill the line. A line that was taken for a slower one, as when all senders
 * were slow, shows a higher rate the next time, and the bound follows.
 */
export function windowFor(lineBytesPerMs: number, roundTripMs: number): number | null {
  const bytes = Math.ceil(lineBytesPerMs * (roundTripMs + Math.max(roundTripMs, WINDOW_QUEUE_MS)));
  return bytes > WINDOW_BYTES_MAX ? null : Math.max(WINDOW_BYTES_MIN, bytes);
}

/**
 * The shortest round trip to each host lately. A connection that was made while a line was full has
 * not seen it.
 */
export class RoundTrips {
  readonly #leastMs = new LRUCache<string, number>({
    max: ROUND_TRIP_HOSTS_MAX,
    ttl: ROUND_TRIP_KEPT_MS,
  });

  /** The shortest, `seenMs` of one more connection included. */
  leastMs(host: string, seenMs: number): number {
    const knownMs = this.#leastMs.get(host);
    if (knownMs !== undefined && knownMs <= seenMs) return knownMs;
    this.#leastMs.set(host, seenMs);
    return seenMs;
  }
}

/** Those of this thread. */
export const threadRoundTrips = new RoundTrips();
