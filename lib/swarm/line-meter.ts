import { LINE_TEST_BYTES, SHARD_BYTES } from '../limits.ts';
import type { LineTest } from './types.ts';

/**
 * The first bytes do not count, nor the time that they took: shapers let through as much at once,
 * and sockets and switches hold some.
 */
const SKIPPED_BYTES = 64 * 1024;

/** How long a test lasts at most after them, and in all. */
const TEST_MS = 250;
const TEST_MS_MAX = 2_000;

/**
 * A test that is over sooner says only that the line brings LINE_TEST_BYTES in this time: it is too
 * short to tell faster lines apart.
 */
const TEST_MS_MIN = 50;

/** The part of LINE_TEST_BYTES that must have come for that. */
const TEST_SHARE_MIN = 7 / 8;

/** What a shard takes on the fastest line that a test can tell, in ms. */
export const TESTED_SHARD_MS_MIN = (SHARD_BYTES * TEST_MS_MIN) / (TEST_SHARE_MIN * LINE_TEST_BYTES);

/** Counts what comes in a test of a line, from all senders, and says when the test is over. */
export class LineMeter {
  readonly #startMs: number;
  /** When the first bytes came, and when SKIPPED_BYTES were here. */
  #firstMs = 0;
  #fromMs = 0;
  #lastMs = 0;
  #firstBytes = 0;
  #fromBytes = 0;
  #bytes = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  came(bytes: number, nowMs: number): void {
    const isFirst = this.#bytes === 0;
    this.#bytes += bytes;
    this.#lastMs = nowMs;
    if (isFirst) {
      this.#firstBytes = bytes;
      this.#firstMs = nowMs;
    }
    if (this.#fromBytes === 0 && this.#bytes >= SKIPPED_BYTES) {
      this.#fromBytes = this.#bytes;
      this.#fromMs = nowMs;
    }
  }

  /** In how many ms to look at the clock again; 0: the test is over. */
  leftMs(nowMs: number): number {
    if (this.#bytes >= LINE_TEST_BYTES) return 0;
    const endMs = this.#startMs + TEST_MS_MAX;
    const dueMs = this.#fromBytes === 0 ? endMs : Math.min(endMs, this.#fromMs + TEST_MS);
    return Math.max(0, Math.min(dueMs - nowMs, TEST_MS));
  }

  /** What came after the first bytes: after all that do not count, if the line brought more. */
  get result(): LineTest {
    const [bytes, ms] =
      this.#bytes > this.#fromBytes && this.#fromBytes > 0
        ? [this.#fromBytes, this.#fromMs]
        : [this.#firstBytes, this.#firstMs];
    return { receivedBytes: this.#bytes - bytes, tookMs: this.#lastMs - ms };
  }
}

/** The line in bytes/ms; null: too little came to tell. */
export function rateOf({ receivedBytes, tookMs }: LineTest): number | null {
  if (receivedBytes === 0) return null;
  if (tookMs < TEST_MS_MIN && receivedBytes < TEST_SHARE_MIN * LINE_TEST_BYTES) return null;
  return receivedBytes / Math.max(TEST_MS_MIN, tookMs);
}
