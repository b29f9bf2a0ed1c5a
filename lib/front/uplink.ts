import { UPLINK_FULL, UPLINK_KEEP, UPLINK_WINDOW_MS } from './limits.ts';

/**
 * How full the line is on which this node sends, by the bytes that sockets take. A receiver whose
 * own line is shared takes less than this line could bring.
 */
export class Uplink {
  /** The best rate of a window lately, in bytes per ms. */
  #bestBytesPerMs = 0;
  #bytes = 0;
  #sinceMs = 0;

  /** Uploads begin after a pause. */
  begin(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }

  wrote(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    if (nowMs - this.#sinceMs >= 2 * UPLINK_WINDOW_MS) this.#close(nowMs);
  }

  /**
   * Whether the uploads of the window that ends now left room on the line. Then a new window
   * begins, so that it shows what one more upload brings.
   */
  hasRoom(nowMs: number): boolean {
    if (nowMs - this.#sinceMs < UPLINK_WINDOW_MS) return false;
    return this.#close(nowMs) < UPLINK_FULL * this.#bestBytesPerMs;
  }

  #close(nowMs: number): number {
    const bytesPerMs = this.#bytes / (nowMs - this.#sinceMs);
    this.#bestBytesPerMs = Math.max(this.#bestBytesPerMs * UPLINK_KEEP, bytesPerMs);
    this.begin(nowMs);
    return bytesPerMs;
  }
}
