import type { FetchShared } from './fetch.ts';
import type { AskedAs } from './types.ts';

/**
 * When one fetch calls somebody late: after a multiple of what shards took lately, twice that each time it has left
 * somebody of the kind, and only while other shards came. Where roots stand before the origin, twice as long will do without
 * that (at an image's end no others come). Where none do, owners are given far more time, as whoever takes an owner's
 * place goes to the origin.
 */
export class Lateness {
  readonly #shared: FetchShared;
  readonly #startedMs: number;
  #parentsLeft = 0;
  #ownersLeft = 0;

  constructor(shared: FetchShared) {
    this.#shared = shared;
    this.#startedMs = shared.nowMs();
  }

  /** Whether who is asked as `as` since `sinceMs` is late. */
  isLate(as: AskedAs | 'origin', sinceMs: number): boolean {
    const { pace, nowMs, membership } = this.#shared;
    const hasRoots = membership().roots.size > 0;
    const lateMs = (as === 'parent' || (hasRoots && pace.isKnown) ? pace.lateMs : pace.lateOwnerMs) * 2 ** (as === 'parent' ? this.#parentsLeft : this.#ownersLeft);
    const tookMs = nowMs() - sinceMs;
    return tookMs > lateMs && (pace.flowedSince(this.#startedMs) || (hasRoots && tookMs > 2 * lateMs));
  }

  /** Whether an owner is to blame that was first asked at `sinceMs`, a parent it named was late, and it has not got the shard itself. */
  isOwnersFault(sinceMs: number): boolean {
    const { pace, nowMs, membership } = this.#shared;
    return membership().roots.size > 0 || nowMs() - sinceMs > pace.lateOwnerMs;
  }

  /** Somebody asked as `as` was left for being late: be more patient with the next. */
  left(as: AskedAs | 'origin'): void {
    if (as === 'parent') this.#parentsLeft++;
    else this.#ownersLeft++;
  }
}
