import { LOOK_MS, PEER_HOLD_MS, PEER_SILENCE_MS } from '../../limits.ts';
import { PEER_PROGRESS_BYTES } from '../limits.ts';

/** One look adds at most this much to the time without progress. */
const LOOK_MS_MAX = 2 * LOOK_MS;

/**
 * Watches that another node makes progress: a response head, then PEER_PROGRESS_BYTES in any
 * `silenceMs`. A drip of bytes is no progress, so it cannot hold up a shard. Only time in which
 * this thread ran counts: on a machine without a free core, this node's own delays would otherwise
 * look like the silence of every peer.
 */
export class Progress {
  /** The time without progress after which a node counts as stalled. */
  readonly silenceMs: number;
  readonly #nowMs: () => number;
  #lookedMs: number;
  #idleMs = 0;
  #bytes = 0;

  /** `holdMs`: how long a living node may have nothing to send. */
  constructor(nowMs: () => number, holdMs = PEER_HOLD_MS) {
    this.silenceMs = PEER_SILENCE_MS - PEER_HOLD_MS + holdMs;
    this.#nowMs = nowMs;
    this.#lookedMs = nowMs();
  }

  /** A response head has come. */
  head(): void {
    this.#idleMs = 0;
  }

  /** `bytes` more of the body have come. */
  came(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < PEER_PROGRESS_BYTES) return;
    this.#bytes = 0;
    this.#idleMs = 0;
  }

  /** Whether the node has stalled; to be asked every LOOK_MS. */
  get hasStalled(): boolean {
    const nowMs = this.#nowMs();
    this.#idleMs += Math.min(nowMs - this.#lookedMs, LOOK_MS_MAX);
    this.#lookedMs = nowMs;
    return this.#idleMs > this.silenceMs;
  }
}
