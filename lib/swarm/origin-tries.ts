import { type ErrorCode, errorTable, type WireError } from '../errors.ts';
import {
  FETCH_PATIENCE_MS,
  ORIGIN_BACKOFF_MS,
  ORIGIN_BROKEN_PATIENCE_MS,
  ORIGIN_TRIES_MAX,
  OWNER_REFUSALS_MAX,
  THREAD_BACKOFF_MS,
} from './limits.ts';
import { OriginRefs } from './origin-refs.ts';
import { isFinal, retryAfterMs } from './refusal.ts';
import type { AttemptResult, OriginRef, FetchResult } from './types.ts';

/**
 * The consequence of a failure at the origin: another credential at once, a pause, or the end of
 * the fetch. `anew`: no received byte is kept.
 */
export type AfterOrigin =
  | { kind: 'again'; anew: boolean }
  | { kind: 'pause'; ms: number; anew: boolean }
  | { kind: 'end'; result: FetchResult };

/**
 * The origins of one fetch, and its retry budget: its own tries, and those that owners and roots
 * report.
 */
export class OriginTries {
  readonly #refs = new OriginRefs();
  readonly #random: () => number;
  #tries = 0;
  #refusals = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Whether there is no way to the origin. */
  get isEmpty(): boolean {
    return this.#refs.isEmpty;
  }

  /** The credential to use now, if one is left. */
  use(): OriginRef | null {
    return this.#refs.use();
  }

  /** Another origin of the shard, tried before the older ones. */
  offer(origin: OriginRef): void {
    this.#refs.offer(origin);
  }

  /** This node reads the origin itself: one try more. */
  begun(): void {
    this.#tries++;
  }

  /** The read that was begun is left to another node, or made in another way: it was no try. */
  unused(): void {
    this.#tries--;
  }

  /** The read has failed, and no byte has come for `silentMs`. */
  failed(error: WireError, silentMs: number): AfterOrigin {
    const end: AfterOrigin = { kind: 'end', result: { kind: 'failed', error, ...this.#of } };
    // A thread of this node ended: no failure of the origin, and no try of it.
    if (error.code === 'THREAD_LOST') {
      this.unused();
      return silentMs > FETCH_PATIENCE_MS
        ? end
        : { kind: 'pause', ms: THREAD_BACKOFF_MS, anew: false };
    }
    if (isFinal(error)) return this.#denied(error);
    // One client's URL may name an object that is not the blob; another's is tried at once.
    const isOfObject = error.code === 'ORIGIN_BROKEN' || error.code === 'DIGEST_MISMATCH';
    if (isOfObject && this.#refs.hasOthers) return this.#denied(error);
    if (this.#tries >= ORIGIN_TRIES_MAX) return end;
    if (
      error.code === 'ORIGIN_BROKEN' &&
      silentMs > ORIGIN_BROKEN_PATIENCE_MS &&
      this.#tries + this.#refusals > 1
    )
      return end;
    const pauseMs = retryAfterMs(error) ?? ORIGIN_BACKOFF_MS * 2 ** (this.#tries - 1);
    // A further timeout would take as long, and clients would not get the error in time.
    const nextMs = pauseMs + (error.code === 'ORIGIN_TIMEOUT' ? silentMs : 0);
    if (silentMs + nextMs > FETCH_PATIENCE_MS) return end;
    return {
      kind: 'pause',
      ms: pauseMs * (1 + 0.25 * this.#random()),
      anew: error.code === 'DIGEST_MISMATCH',
    };
  }

  /**
   * An owner or root reports that the origin refused or failed. Only the origin itself is believed
   * about a refusal (`origin`: this node asks it). The refusal does not count for a credential that
   * was offered meanwhile (`newer`: the same node is asked with it). After a failure (null) the
   * next owner is asked; after OWNER_REFUSALS_MAX failures the fetch ends, so that not every node
   * asks the origin.
   */
  refused(error: WireError): AfterOrigin | 'origin' | 'newer' | null {
    if (error.code === 'ORIGIN_REFUSED') return this.#refs.hasNewer ? 'newer' : 'origin';
    return ++this.#refusals > OWNER_REFUSALS_MAX
      ? { kind: 'end', result: { kind: 'failed', error } }
      : null;
  }

  /** The origin said no to the credential used: the next, or the end. */
  #denied(error: WireError): AfterOrigin {
    const of = this.#of;
    this.#refs.refused();
    return this.#refs.isEmpty
      ? { kind: 'end', result: { kind: 'refused', error, ...of } }
      : { kind: 'again', anew: error.code === 'DIGEST_MISMATCH' };
  }

  /** The origin that the error is of. */
  get #of(): { of?: OriginRef } {
    const { used } = this.#refs;
    return used === null ? {} : { of: used };
  }
}

/**
 * The end of a fetch that may ask no other node, on a node that knows no origin that it may read:
 * no client named one, or the configuration does not vouch for it. This says nothing about the
 * origin, so a node that knows an origin asks it. `last`: the error before this one.
 */
export function withoutOrigin(last: WireError | null): WireError {
  if (last?.code.startsWith('ORIGIN_') === true) return last;
  const why = 'no client named an origin that this node may read, and no other node has the shard';
  return wireError('ORIGIN_REFUSED', last === null ? why : `${why}; last: ${last.message}`);
}

/** Why a read of the origin has failed. */
export function errorAtOrigin(result: AttemptResult): WireError {
  return result.kind === 'failed' || result.kind === 'refused'
    ? result.error
    : wireError('INTERNAL', 'the origin was read, and a peer answered');
}

/** An error of the core's own making. */
export function wireError(code: ErrorCode, message: string): WireError {
  return { code, message, status: errorTable[code].status };
}
