import { LOOK_MS, PEER_SILENCE_MS } from '../../limits.ts';
import { PEER_PROGRESS_BYTES } from '../limits.ts';

/** One look adds at most this much to the time without progress. */
const LOOK_MS_MAX = 2 * LOOK_MS;

/** How long a node may make no progress: before its head, and within the body. */
export interface Patience {
  silenceMs: number;
  stallMs: number;
}

/**
 * Watches that another node makes progress: a response head, then PEER_PROGRESS_BYTES in any
 * `silenceMs`. A drip of bytes is no progress, so it cannot hold up a shard. Only time in which
 * this thread ran counts: on a machine without a free core, this node's own delays would otherwise
 * look like the silence of every peer.
 */
export class Progress {
  /** The time without progress after which a node counts as stalled. */
  silenceMs: number;
  readonly #stallMs: number;
  readonly #nowMs: () => number;
  #lookedMs: number;
  #idleMs = 0;
  /** Since the last progress, and the time without progress when the last of them came. */
  #bytes = 0;
  #byteMs = 0;

  /** `silenceMs` holds until the head has come, `stallMs` from then on. */
  constructor(
    nowMs: () => number,
    { silenceMs, stallMs }: Patience = { silenceMs: PEER_SILENCE_MS, stallMs: PEER_SILENCE_MS },
  ) {
    this.silenceMs = silenceMs;
    this.#stallMs = stallMs;
    this.#nowMs = nowMs;
    this.#lookedMs = nowMs();
  }

  /** A response head has come. */
  head(): void {
    this.#idleMs = 0;
    this.silenceMs = this.#stallMs;
  }

  /** `bytes` more of the body have come. */
  came(bytes: number): void {
    this.#bytes += bytes;
    this.#byteMs = this.#idleMs;
    if (this.#bytes < PEER_PROGRESS_BYTES) return;
    this.#bytes = 0;
    this.#idleMs = 0;
  }

  /**
   * Whether a node that stalled still sends, but less than any healthy node: a node that waits for
   * bytes sends none, and one that sends others first sends more.
   */
  get isDrip(): boolean {
    return this.#bytes > 0 && this.#idleMs - this.#byteMs < this.silenceMs / 2;
  }

  /** Whether the node has stalled; to be asked every LOOK_MS. */
  get hasStalled(): boolean {
    const nowMs = this.#nowMs();
    this.#idleMs += Math.min(nowMs - this.#lookedMs, LOOK_MS_MAX);
    this.#lookedMs = nowMs;
    return this.#idleMs > this.silenceMs;
  }
}
