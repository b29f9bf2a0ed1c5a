import { LOOK_MS, PEER_SILENCE_MS } from '../limits.ts';

/** What a look counts for at most. */
const LOOK_MS_MAX = 2 * LOOK_MS;

/**
 * How long another node has said nothing, as far as this thread was there to hear it: of a look
 * that comes late only a few polls count, for what has come meanwhile is read after it. On a
 * machine without a free core this node's own absence would otherwise look like everybody's
 * silence.
 */
export class Silence {
  readonly #nowMs: () => number;
  #lookedMs: number;
  #silentMs = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#lookedMs = nowMs();
  }

  heard(): void {
    this.#silentMs = 0;
  }

  /** To be asked every LOOK_MS: whether it is longer than a living node ever is silent. */
  get isTooLong(): boolean {
    const nowMs = this.#nowMs();
    this.#silentMs += Math.min(nowMs - this.#lookedMs, LOOK_MS_MAX);
    this.#lookedMs = nowMs;
    return this.#silentMs > PEER_SILENCE_MS;
  }
}
