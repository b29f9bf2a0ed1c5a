import { RUNTIME_DISCARD_MS, RUNTIME_DISCARDS_MIN } from './limits.ts';

/**
 * Whether the runtime keeps the layers that it has unpacked. With `discard_unpacked_layers` it does
 * not. A node cannot read that setting, so it observes whether layers disappear.
 */
export class Retention {
  #discarded = 0;
  #drops = false;

  /** Layers are dropped: they have to be written to the cache. */
  get drops(): boolean {
    return this.#drops;
  }

  /** A layer has disappeared `afterMs` after it was committed. True if `drops` has changed. */
  disappeared(afterMs: number): boolean {
    if (afterMs > RUNTIME_DISCARD_MS) return false;
    this.#discarded += 1;
    if (this.#drops || this.#discarded < RUNTIME_DISCARDS_MIN) return false;
    this.#drops = true;
    return true;
  }

  /** A layer is still there `afterMs` after it was committed. True if `drops` has changed. */
  stayed(afterMs: number): boolean {
    if (afterMs <= RUNTIME_DISCARD_MS) return false;
    this.#discarded = 0;
    if (!this.#drops) return false;
    this.#drops = false;
    return true;
  }
}
