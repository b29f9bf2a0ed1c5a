import type { Clock } from '../../clock.ts';
import { ShareQueue, type Share } from '../../share-queue.ts';
import { LAYER_SHARES } from '../limits.ts';

interface Waiting {
  key: string;
  share: Share;
  sinceMs: number;
  /** One for each stream of the layer that waits. */
  enters: Set<() => void>;
}

/**
 * `proxyConcurrencyLimit`: the number of layers downloading at once on this node. All streams of a
 * layer share one place, which is free when the last of them has left. Others wait; each upstream
 * and client has a share of the places, and small reads have places of their own (lane `ask`).
 */
export class LayerGate {
  readonly #clock: Clock;
  readonly #queue: ShareQueue<Waiting>;
  readonly #inside = new Map<string, { streams: number; share: Share }>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #waited: (ms: number) => void;

  /** `waited`: a layer has entered after this wait. */
  constructor(limit: number, clock: Clock, waited: (ms: number) => void) {
    const places = (part: number): number => Math.ceil(limit * part);
    const limits = {
      lane: limit,
      upstream: places(LAYER_SHARES.upstream),
      unvouched: places(LAYER_SHARES.unvouched),
      client: places(LAYER_SHARES.client),
    };
    this.#queue = new ShareQueue({ read: limits, ask: limits });
    this.#clock = clock;
    this.#waited = waited;
  }

  /** Streams that wait. */
  get waiting(): number {
    let waiting = 0;
    for (const { enters } of this.#waiting.values()) waiting += enters.size;
    return waiting;
  }

  /**
   * Calls `enter`, at once or later. Call the returned function once for each call, whether the
   * stream has entered or not.
   */
  enter(key: string, share: Share, enter: () => void): () => void {
    // An object of its own, so that equal functions are two streams.
    const stream = (): void => enter();
    const inside = this.#inside.get(key);
    if (inside === undefined) {
      this.#wait(key, share, stream);
      this.#next();
    } else {
      inside.streams += 1;
      stream();
    }
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      const waiting = this.#waiting.get(key);
      if (waiting?.enters.delete(stream) !== true) this.#leave(key);
      else if (waiting.enters.size === 0) {
        this.#waiting.delete(key);
        this.#queue.remove(waiting);
      }
    };
  }

  #wait(key: string, share: Share, stream: () => void): void {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.enters.add(stream);
      return;
    }
    const first = { key, share, sinceMs: this.#clock.nowMs(), enters: new Set([stream]) };
    this.#waiting.set(key, first);
    this.#queue.push(first);
  }

  #leave(key: string): void {
    const inside = this.#inside.get(key)!;
    inside.streams -= 1;
    if (inside.streams > 0) return;
    this.#inside.delete(key);
    this.#queue.over(inside.share);
    this.#next();
  }

  #next(): void {
    for (let next = this.#queue.take(); next !== null; next = this.#queue.take()) {
      const { key, share, sinceMs, enters } = next;
      this.#waiting.delete(key);
      this.#inside.set(key, { streams: enters.size, share });
      const waitedMs = this.#clock.nowMs() - sinceMs;
      if (waitedMs > 0) this.#waited(waitedMs);
      for (const stream of enters) stream();
    }
  }
}
