import { LINE_TEST_BYTES } from '../limits.ts';
import type { LineTest } from './types.ts';

/** How long a test lasts at most; a line that has brought less than so many bytes gets more time. */
const TEST_MS = 250;
const TEST_BYTES_MIN = 64 * 1024;
const TEST_MS_MAX = 2_000;

/**
 * A test that is over sooner says only that the line brings LINE_TEST_BYTES in this time: it is too
 * short to tell faster lines apart.
 */
const TEST_MS_MIN = 50;

/** The part of LINE_TEST_BYTES that must have come for that. */
const TEST_SHARE_MIN = 7 / 8;

/** Counts what comes in a test of a line, from all senders, and says when the test is over. */
export class LineMeter {
  readonly #startMs: number;
  #firstMs = 0;
  #lastMs = 0;
  #firstBytes = 0;
  #bytes = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  came(bytes: number, nowMs: number): void {
    if (this.#bytes === 0) {
      this.#firstBytes = bytes;
      this.#firstMs = nowMs;
    }
    this.#bytes += bytes;
    this.#lastMs = nowMs;
  }

  /** In how many ms to look at the clock again; 0: the test is over. */
  leftMs(nowMs: number): number {
    if (this.#bytes >= LINE_TEST_BYTES) return 0;
    const limitMs = this.#bytes < TEST_BYTES_MIN ? TEST_MS_MAX : TEST_MS;
    const passedMs = nowMs - this.#startMs;
    return passedMs >= limitMs ? 0 : (passedMs < TEST_MS ? TEST_MS : TEST_MS_MAX) - passedMs;
  }

  /** What came after the first bytes: the time counts from them on. */
  get result(): LineTest {
    return { receivedBytes: this.#bytes - this.#firstBytes, tookMs: this.#lastMs - this.#firstMs };
  }
}

/** The line in bytes/ms; null: too little came to tell. */
export function rateOf({ receivedBytes, tookMs }: LineTest): number | null {
  if (receivedBytes === 0) return null;
  if (tookMs < TEST_MS_MIN && receivedBytes < TEST_SHARE_MIN * LINE_TEST_BYTES) return null;
  return receivedBytes / Math.max(TEST_MS_MIN, tookMs);
}
