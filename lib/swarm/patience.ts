import type { WireError } from '../errors.ts';
import type { FetchParts } from './fetch-parts.ts';
import { wireError } from './origin-tries.ts';

/**
 * How long one fetch continues without a byte. It ends only after it has tried all that is left: a
 * root at half of its patience, and at the end of it the origin, if a client of this node waits. A
 * fetch for another node ends there, because that node has its own patience. The time does not
 * count while bytes of earlier shards arrive (arrivals.ts).
 */
export class Patience {
  readonly #parts: FetchParts;
  /** Whether the origin may be turned to. */
  readonly #hasOrigin: () => boolean;
  #askedRoots = false;
  /** When it turned to the origin. */
  #atOriginMs = -Infinity;

  constructor(parts: FetchParts, hasOrigin: () => boolean) {
    this.#parts = parts;
    this.#hasOrigin = hasOrigin;
  }

  /** Whether it has turned to the origin: there is no time left to wait for other nodes. */
  get isOver(): boolean {
    return this.#atOriginMs > -Infinity;
  }

  /** Turns to the origin, past all nodes. Returns false if it has before, or must not. */
  toOrigin(): boolean {
    if (this.isOver || !this.#hasOrigin()) return false;
    this.#atOriginMs = this.#parts.shared.nowMs();
    this.#parts.sources.turnToOrigin();
    return true;
  }

  /**
   * Whether to wait on, or to go on elsewhere, as `sources` now say. An error: nothing is left.
   */
  look(): 'wait' | 'elsewhere' | WireError {
    const { progress, shard, shared, sources } = this.#parts;
    const nowMs = shared.nowMs();
    const { giveUpMs } = shared.pace;
    // Asked at every tick; nearly always this is the answer.
    if (nowMs - progress.grownMs <= giveUpMs / 2) return 'wait';
    const cameMs = shared.arrivals.beforeMs(shard.key, shard.index);
    const silentMs = nowMs - Math.max(progress.grownMs, cameMs, this.#atOriginMs);
    if (silentMs > giveUpMs) {
      if (!this.toOrigin()) {
        const waited = `for ${Math.round(silentMs)} ms`;
        const why = `no byte of shard ${shard.index} from any node ${waited}`;
        return wireError('PEER_TIMEOUT', why);
      }
    } else if (silentMs > giveUpMs / 2 && !this.#askedRoots && sources.hasRoot) {
      this.#askedRoots = true;
      sources.turnToRoots();
    } else return 'wait';
    shared.observe('gave-up', this.#parts.attempts.node);
    progress.ownerChanged();
    return 'elsewhere';
  }
}
