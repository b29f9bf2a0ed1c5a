import type { Clock } from '../../clock.ts';
import { AHEAD_SMALL_READS_SLOT_SHARE } from '../../limits.ts';
import { READ_PATTERN_IDLE_MS, READ_PATTERNS_MAX } from '../limits.ts';
import { ReadPattern } from '../../swarm/pattern.ts';
import type { Share } from '../../share-queue.ts';
import type { LayerGate } from './layer-gate.ts';
import type { ShardLoader } from '../shards/loader.ts';
import type { Interest, FetchOptions } from '../shards/resident.ts';

interface ReadAheadParts {
  loader: ShardLoader;
  layers: LayerGate;
  clock: Clock;
  /** See LoaderParts. */
  shareOf(options: FetchOptions): Share;
  /** Slots of memory in all; a share of them may hold shards read ahead of small reads. */
  slotCount: number;
}

interface Watched {
  pattern: ReadPattern;
  readMs: number;
}

/**
 * Reads ahead of small reads (overlaybd sends one request per read, over several connections), as
 * predicted by the read pattern of each blob. Bounded in blobs, in shards under way, and in time.
 */
export class ReadAhead {
  readonly #parts: ReadAheadParts;
  readonly #underWayMax: number;
  /** By blob key, the least recently read first. */
  readonly #watched = new Map<string, Watched>();
  #underWay = 0;

  constructor(parts: ReadAheadParts) {
    this.#parts = parts;
    this.#underWayMax = Math.floor(parts.slotCount * AHEAD_SMALL_READS_SLOT_SHARE);
  }

  /** Shards being read ahead now. */
  get underWay(): number {
    return this.#underWay;
  }

  /**
   * An authorized client has made a small read at `startBytes`; `options` are its own.
   */
  read(key: string, startBytes: number, totalBytes: number, options: FetchOptions): void {
    for (const shard of this.#patternOf(key).read(startBytes, totalBytes)) {
      if (this.#underWay >= this.#underWayMax) return;
      if (!this.#parts.loader.has(key, shard) && this.#parts.loader.find(key, shard) === undefined)
        this.#bring(key, shard, options);
    }
  }

  #bring(key: string, shard: number, options: FetchOptions): void {
    const { loader, layers } = this.#parts;
    this.#underWay += 1;
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.#underWay -= 1;
      leave();
    };
    // A reader that needs the shard asks for it again and gets the error then.
    const interest: Interest = { placed: () => undefined, complete: over, failed: over };
    let hasEntered = false;
    const leave = layers.enter(key, this.#parts.shareOf(options), () => {
      hasEntered = true;
      if (!isOver) loader.want(key, shard, { ...options, sliceBytes: null }, interest);
    });
    // A shard that must wait for a layer turn would come too late.
    if (!hasEntered) over();
  }

  #patternOf(key: string): ReadPattern {
    const nowMs = this.#parts.clock.nowMs();
    const known = this.#watched.get(key);
    this.#watched.delete(key);
    const watched =
      known !== undefined && nowMs - known.readMs < READ_PATTERN_IDLE_MS
        ? known
        : { pattern: new ReadPattern(), readMs: nowMs };
    watched.readMs = nowMs;
    this.#watched.set(key, watched);
    for (const [other, { readMs }] of this.#watched) {
      if (this.#watched.size <= READ_PATTERNS_MAX && nowMs - readMs < READ_PATTERN_IDLE_MS) break;
      this.#watched.delete(other);
    }
    return watched.pattern;
  }
}
