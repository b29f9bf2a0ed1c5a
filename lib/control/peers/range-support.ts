import { LRUCache } from 'lru-cache';
import type { Clock } from '../../clock.ts';
import { RepeatCache } from '../../repeat-cache.ts';
import { RANGE_HOSTS_MAX, RANGE_OBJECTS_MAX, RANGE_SUPPORT_TTL_MS } from './limits.ts';

export type RangeSupport = 'parts' | 'whole' | 'unknown';

/**
 * Which origins serve parts of which objects. A pull-through cache serves parts of what it holds,
 * but only the whole of what it is still fetching, so the fact belongs to an object. The recent
 * answers of a host are the guess for a new object. Facts expire after RANGE_SUPPORT_TTL_MS.
 */
export class RangeMemory {
  readonly #clock: Clock;
  readonly #objects: RepeatCache<{ support: 'parts' | 'whole'; held: boolean; atMs: number }>;
  readonly #hosts: LRUCache<string, { partsMs: number; wholeMs: number }>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#objects = new RepeatCache({ max: RANGE_OBJECTS_MAX });
    this.#hosts = new LRUCache({ max: RANGE_HOSTS_MAX });
  }

  /** The expected answer to a request for a part of `object` at `host`. */
  of(object: string, host: string): RangeSupport {
    const known = this.ofObject(object);
    if (known !== 'unknown') return known;
    const seen = this.#hosts.get(host);
    if (seen === undefined || !this.#isFresh(seen.partsMs)) return 'unknown';
    return this.#isFresh(seen.wholeMs) ? 'unknown' : 'parts';
  }

  /** What the object's own answers say: a host that serves parts of others need not of this one. */
  ofObject(object: string): RangeSupport {
    const known = this.#objects.get(object);
    return known !== undefined && this.#isFresh(known.atMs) ? known.support : 'unknown';
  }

  /** The expected answer of the host for an unknown object. */
  ofHost(host: string): RangeSupport {
    const seen = this.#hosts.get(host);
    if (seen === undefined) return 'unknown';
    const [parts, whole] = [this.#isFresh(seen.partsMs), this.#isFresh(seen.wholeMs)];
    return parts === whole ? 'unknown' : parts ? 'parts' : 'whole';
  }

  /** The origin has answered a request for a part with a part, or with the whole. */
  note(object: string, host: string, support: 'parts' | 'whole'): void {
    const known = this.#objects.get(object);
    const atMs = this.#clock.nowMs();
    const isFresh = known !== undefined && this.#isFresh(known.atMs);
    // Reads that share a long answer are no evidence about the host.
    if (isFresh && (known.held || known.support === support)) {
      known.atMs = atMs;
      if (known.support === 'whole') return;
    } else this.#objects.set(object, { support, held: false, atMs });
    const seen = this.#hosts.get(host) ?? { partsMs: -Infinity, wholeMs: -Infinity };
    this.#hosts.set(host, { ...seen, [support === 'parts' ? 'partsMs' : 'wholeMs']: atMs });
  }

  /** One long answer brings the rest of the object; further reads share it. */
  hold(object: string): void {
    this.#objects.set(object, { support: 'whole', held: true, atMs: this.#clock.nowMs() });
  }

  #isFresh(atMs: number): boolean {
    return this.#clock.nowMs() - atMs < RANGE_SUPPORT_TTL_MS;
  }
}
