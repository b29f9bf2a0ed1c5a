import { AHEAD_SHARDS_MAX, INNER_LEAD_SHARDS } from './limits.ts';
import { READ_WINDOW_SHARDS } from '../limits.ts';

export interface WindowLimits {
  /** How much earlier shards to be passed on are asked for. */
  leadShards: number;
  /** How far ahead of its position a reader may have shards. */
  aheadShards: number;
}

export const windowLimits: WindowLimits = {
  leadShards: INNER_LEAD_SHARDS,
  aheadShards: AHEAD_SHARDS_MAX,
};

/**
 * Read-ahead of one reader of one blob: the shards to request next. A reader that requested all up
 * to the blob's end, or that has read in order, gets a window of shards; a random reader gets none.
 * Shards are requested in the reader's order. A shard that is stuck takes one place of the window
 * and does not delay others, until the reader is `aheadShards` behind.
 */
export class ReadWindow {
  #windowShards: number;
  #position = 0;
  readonly #windowMax: number;
  readonly #limits: WindowLimits;

  /**
   * `sequential`: the reader said that it reads to the end. `windowMax`: shards under way at once
   * at most.
   */
  constructor(
    sequential: boolean,
    windowMax = READ_WINDOW_SHARDS,
    limits: WindowLimits = windowLimits,
  ) {
    this.#windowMax = windowMax;
    this.#limits = limits;
    this.#windowShards = sequential ? windowMax : 1;
  }

  /** Shards that may be under way at once now. */
  get sizeShards(): number {
    return this.#windowShards;
  }

  /** Where the reader starts. */
  begin(position: number): void {
    this.#position = position;
  }

  /**
   * The reader has come to shard `position`: one further in order doubles the window, a jump closes
   * it.
   */
  at(position: number): void {
    if (position === this.#position) return;
    this.#windowShards =
      position === this.#position + 1 ? Math.min(this.#windowMax, this.#windowShards * 2) : 1;
    this.#position = position;
  }

  /**
   * Indices to want now, the shard being read first. `underWay`: how many this reader is waiting
   * for, those apart in whose trees this node is inner; `isKnown`: whether a shard is here or on
   * its way; `share`: the part of the window that is this reader's (others read, too); `isInner`:
   * whether this node is to pass the shard on (see Tracker): such shards are asked for `leadShards`
   * earlier and take no place, so that parents are there before their children; `together`: how
   * many can come in one request. A reader that has as many before it waits until it wants so many:
   * one that is slower than the way to the origin would ask for a single shard each time it has
   * read one.
   */
  next(
    countShards: number,
    underWay: number,
    isKnown: (index: number) => boolean,
    share = 1,
    isInner: (index: number) => boolean = () => false,
    together = 1,
  ): number[] {
    const wanted: number[] = [];
    const window = Math.max(1, Math.floor(this.#windowShards * share));
    let room = window - underWay;
    const end = Math.min(
      countShards,
      this.#position + (this.#windowShards === 1 ? 1 : this.#limits.aheadShards),
    );
    let last = this.#position;
    for (let index = this.#position; index < end && room > 0; index++) {
      last = index;
      if (isKnown(index)) continue;
      wanted.push(index);
      if (!isInner(index)) room--;
    }
    if (wanted.length < together && wanted.length > 0 && wanted[0]! - this.#position >= together)
      return [];
    for (let index = last + 1; index < Math.min(end, last + this.#limits.leadShards); index++)
      if (!isKnown(index) && isInner(index)) wanted.push(index);
    return wanted;
  }
}
