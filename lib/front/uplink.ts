import {
  UPLINK_FULL,
  UPLINK_GAIN,
  UPLINK_KEEP,
  UPLINK_TRIAL_MS,
  UPLINK_WINDOW_MS,
} from './limits.ts';

/**
 * How full the line is on which this node sends, by the bytes that sockets take. A receiver whose
 * own line is shared takes less than this line could bring.
 */
export class Uplink {
  /** The best rate of a window lately, in bytes per ms. */
  #bestBytesPerMs = 0;
  #bytes = 0;
  #drainedBytes = 0;
  #sinceMs = 0;
  /** When one more was last let go, and the rate before. */
  #trialMs = -Infinity;
  #trialBytesPerMs = 0;

  /** Uploads begin after a pause. */
  begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#drainedBytes = 0;
  }

  /**
   * `bytes` were written; `isDrained`: into a buffer that had been full, so the line has taken as
   * many. What an empty buffer takes shows nothing: three of them hold what a slow line brings in a
   * window.
   */
  wrote(bytes: number, nowMs: number, isDrained: boolean): void {
    this.#bytes += bytes;
    if (isDrained) this.#drainedBytes += bytes;
    if (nowMs - this.#sinceMs >= 2 * UPLINK_WINDOW_MS) this.#close(nowMs);
  }

  /**
   * Whether one more upload may be let go, as the uploads of the window that ends now left room on
   * the line. Then a new window begins, so that it shows what the upload brings. If that is
   * nothing, the receivers are slow, or the line has become so, and the next one waits longer: many
   * uploads at once would all come late.
   */
  hasRoom(nowMs: number): boolean {
    if (nowMs - this.#sinceMs < UPLINK_WINDOW_MS) return false;
    const bytesPerMs = this.#close(nowMs);
    const gained = bytesPerMs >= UPLINK_GAIN * this.#trialBytesPerMs;
    if (!gained && nowMs - this.#trialMs < UPLINK_TRIAL_MS) return false;
    if (bytesPerMs >= UPLINK_FULL * this.#bestBytesPerMs) return false;
    this.#trialMs = nowMs;
    this.#trialBytesPerMs = bytesPerMs;
    return true;
  }

  #close(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    const bytesPerMs = this.#bytes / elapsedMs;
    this.#bestBytesPerMs = Math.max(
      this.#bestBytesPerMs * UPLINK_KEEP,
      this.#drainedBytes / elapsedMs,
    );
    this.begin(nowMs);
    return bytesPerMs;
  }
}
