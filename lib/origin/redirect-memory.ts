import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { Redirect } from '../origin-target.ts';
import {
  ORIGIN_REDIRECT_KEPT_MS,
  ORIGIN_REDIRECT_TTL_MS,
  ORIGIN_REDIRECTS_REMEMBERED_MAX,
} from './limits.ts';
import { sha256Hex } from '../registry/identity.ts';

/** Where a blob was last read. */
export interface BlobPlace extends Redirect {
  /** Whether it answers as DirectTransport takes it. */
  isPlain: boolean;
}

export interface KnownPlace extends BlobPlace {
  /** Otherwise the registry is asked first. */
  isFresh: boolean;
}

/**
 * Where a registry redirects requests for a blob to, itself included, so that a 2 GB layer costs
 * the registry a few requests and not a thousand. Entries are kept apart by credential: a URL
 * signed
 * for one client is never used for another.
 */
export class RedirectMemory {
  readonly #clock: Clock;
  readonly #targets = new LRUCache<string, BlobPlace & { notedMs: number }>({
    max: ORIGIN_REDIRECTS_REMEMBERED_MAX,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Where `url` was last read. Unless `isFresh` the registry is to be asked first: the place is
   * only
   * for when it no longer takes the credential.
   */
  find(url: string, authorization: string | null): KnownPlace | null {
    const id = idOf(url, authorization);
    const target = this.#targets.get(id);
    if (target === undefined) return null;
    const ageMs = this.#clock.nowMs() - target.notedMs;
    if (ageMs < ORIGIN_REDIRECT_KEPT_MS)
      return { ...target, isFresh: ageMs < ORIGIN_REDIRECT_TTL_MS };
    this.#targets.delete(id);
    return null;
  }

  remember(url: string, authorization: string | null, place: BlobPlace): void {
    this.#targets.set(idOf(url, authorization), { ...place, notedMs: this.#clock.nowMs() });
  }

  /**
   * `url` does not answer as DirectTransport takes it. At `place` it was expected to, by another
   * thread's word: that is not tried again.
   */
  notPlain(url: string, authorization: string | null, place: Redirect | null): void {
    const target = this.#targets.peek(idOf(url, authorization));
    if (target !== undefined) target.isPlain = false;
    else if (place !== null) this.remember(url, authorization, { ...place, isPlain: false });
  }

  forget(url: string, authorization: string | null): void {
    this.#targets.delete(idOf(url, authorization));
  }
}

function idOf(url: string, authorization: string | null): string {
  return `${authorization === null ? '' : sha256Hex(authorization)} ${sha256Hex(url)}`;
}
