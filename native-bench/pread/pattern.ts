import { Random } from '../sim/random.ts';

/**
 * A prime: a shard or a page put in the wrong place then shows, since no multiple of their sizes
 * within reach is a multiple of this. Odd, so that blocks never repeat aligned; small enough to lie
 * in the processor's cache.
 */
export const PATTERN_PERIOD_BYTES = 1_048_573;

/**
 * The bytes of a benchmark's object, a pure function of (seed, offset): any part can be made, and
 * checked, anywhere.
 */
export class Pattern {
  readonly #period = Buffer.alloc(PATTERN_PERIOD_BYTES);

  constructor(seed: number) {
    const random = new Random(seed);
    for (let at = 0; at + 4 <= PATTERN_PERIOD_BYTES; at += 4)
      this.#period.writeUInt32LE(random.below(2 ** 32), at);
  }

  /** Writes the object's bytes from `offsetBytes` on into the whole of `into`. */
  fill(into: Uint8Array, offsetBytes: number): void {
    this.#pieces(into.length, offsetBytes, (at, periodAt, length) => {
      into.set(this.#period.subarray(periodAt, periodAt + length), at);
      return true;
    });
  }

  /** Whether `bytes` are the object's from `offsetBytes` on. */
  holds(bytes: Buffer, offsetBytes: number): boolean {
    return this.#pieces(
      bytes.length,
      offsetBytes,
      (at, periodAt, length) =>
        bytes.compare(this.#period, periodAt, periodAt + length, at, at + length) === 0,
    );
  }

  #pieces(
    lengthBytes: number,
    offsetBytes: number,
    each: (at: number, periodAt: number, length: number) => boolean,
  ): boolean {
    for (let at = 0; at < lengthBytes;) {
      const periodAt = (offsetBytes + at) % PATTERN_PERIOD_BYTES;
      const length = Math.min(lengthBytes - at, PATTERN_PERIOD_BYTES - periodAt);
      if (!each(at, periodAt, length)) return false;
      at += length;
    }
    return true;
  }
}
