import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { ORIGIN_REDIRECT_TTL_MS, ORIGIN_REDIRECTS_REMEMBERED_MAX } from './limits.ts';
import { sha256Hex } from '../registry/identity.ts';

/** The URL (signed: never log it) at which a blob was last read. */
export interface BlobPlace {
  url: string;
  /** Whether it answers as a DirectTransport takes it. */
  isPlain: boolean;
}

/**
 * Where a registry sends requests for a blob, itself included, remembered for a minute, so that a 2
 * GB layer costs the registry a few requests and not a thousand. Kept apart by credential: a URL
 * signed for one client is never used for another.
 */
export class RedirectMemory {
  readonly #clock: Clock;
  readonly #targets = new LRUCache<string, BlobPlace & { untilMs: number }>({
    max: ORIGIN_REDIRECTS_REMEMBERED_MAX,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Where `url` was last read, if that is fresh. */
  find(url: string, authorization: string | undefined): BlobPlace | null {
    const id = idOf(url, authorization);
    const target = this.#targets.get(id);
    if (target === undefined) return null;
    if (this.#clock.nowMs() < target.untilMs) return target;
    this.#targets.delete(id);
    return null;
  }

  remember(url: string, authorization: string | undefined, place: BlobPlace): void {
    this.#targets.set(idOf(url, authorization), {
      ...place,
      untilMs: this.#clock.nowMs() + ORIGIN_REDIRECT_TTL_MS,
    });
  }

  /** It answers in other ways than was thought. */
  notPlain(url: string, authorization: string | undefined): void {
    const target = this.#targets.peek(idOf(url, authorization));
    if (target !== undefined) target.isPlain = false;
  }

  forget(url: string, authorization: string | undefined): void {
    this.#targets.delete(idOf(url, authorization));
  }
}

function idOf(url: string, authorization: string | undefined): string {
  return `${authorization === undefined ? '' : sha256Hex(authorization)} ${sha256Hex(url)}`;
}
