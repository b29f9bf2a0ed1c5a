import { GATHER_MS } from '../limits.ts';
import { GATHER_BYTES_MAX, GATHER_BYTES_MIN, GATHER_RATE_WINDOW_MS } from './limits.ts';

/**
 * Decides how many bytes the kernel gathers before it wakes the reader of a connection: what the
 * flow brings in a given time, at most GATHER_BYTES_MAX, and never more than is still to come. So
 * the number of wake-ups follows the bytes, and the delay that gathering adds stays bounded.
 */
export class Gathering {
  #bytesPerMs = 0;
  #windowBytes = 0;
  #windowStartMs = 0;
  #readMs = 0;
  /** Whether the rate of this body has been measured. */
  #isMeasured = false;
  #wantedBytes = 1;
  #gatherMs = GATHER_MS;

  /**
   * A body begins, whose bytes may be gathered for `gatherMs`. The rate of the body before it on
   * the same connection is the first estimate.
   */
  begin(nowMs: number, gatherMs: number = GATHER_MS): void {
    this.#gatherMs = gatherMs;
    this.#isMeasured = false;
    this.#readMs = nowMs;
    this.#startWindow(nowMs);
  }

  /**
   * Bytes to gather before the next wake-up, after `bytes` arrived and with `leftBytes` to come.
   */
  next(bytes: number, leftBytes: number, nowMs: number): number {
    const readTookMs = nowMs - this.#readMs;
    this.#readMs = nowMs;
    this.#windowBytes += bytes;
    const elapsedMs = nowMs - this.#windowStartMs;
    if (elapsedMs >= GATHER_RATE_WINDOW_MS) {
      this.#isMeasured = true;
      this.#bytesPerMs = this.#windowBytes / elapsedMs;
      this.#startWindow(nowMs);
      this.#choose();
    } else if (!this.#isMeasured && readTookMs * 2 < this.#gatherMs) this.#grow(2 * bytes);
    return Math.max(1, Math.min(this.#wantedBytes, leftBytes));
  }

  #startWindow(nowMs: number): void {
    this.#windowBytes = 0;
    this.#windowStartMs = nowMs;
  }

  /**
   * Until the rate of a body is known each read asks for twice as much as it brought: the first
   * window would take dozens of reads of a few packets.
   */
  #grow(bytes: number): void {
    if (bytes >= GATHER_BYTES_MIN && bytes > this.#wantedBytes)
      this.#wantedBytes = Math.min(GATHER_BYTES_MAX, bytes);
  }

  /** A choice stands while the rate stays within a factor of two: each change is a system call. */
  #choose(): void {
    const bytes = Math.min(GATHER_BYTES_MAX, Math.floor(this.#bytesPerMs * this.#gatherMs));
    const isNear = bytes * 2 >= this.#wantedBytes && bytes <= this.#wantedBytes * 2;
    if (isNear && bytes < GATHER_BYTES_MAX) return;
    this.#wantedBytes = bytes < GATHER_BYTES_MIN ? 1 : bytes;
  }
}
