import { HOLDER_DOUBTS_MAX, TREE_CHOICES, TREE_SCAN_MAX } from './limits.ts';
import type { Speed } from './lines.ts';
import { mix32 } from './rank.ts';
import type { NodeId } from './types.ts';

/** A node that has a shard or is receiving it; the owner itself is the one without a parent. */
export interface Holder {
  readonly node: NodeId;
  readonly zone: string | null;
  parent: Holder | null;
  /** Nodes receiving from it now, and slow ones beside them that take no slot. */
  children: number;
  guests: number;
  /** Children it may have before others come first. */
  slots: number;
  speed: Speed;
  /** Whether it is a guest of its parent. */
  isGuest: boolean;
  complete: boolean;
  /** Children of all shards it was sending to when last heard of, and those it was given since. */
  load: number;
  /** When it last asked, in ms. */
  askedMs: number;
  /** Nodes the shard comes through to it, itself counted, since the last that had it whole. */
  depth: number;
  /** Times it was found wanting; at HOLDER_DOUBTS_MAX it gets no more children. */
  doubts: number;
  gone: boolean;
  /** Whether it stands among the candidates. */
  queued: boolean;
}

export function newHolder(node: NodeId, zone: string | null, slots: number): Holder {
  return {
    node,
    zone,
    parent: null,
    children: 0,
    slots,
    guests: 0,
    speed: 'usual',
    isGuest: false,
    complete: false,
    load: 0,
    askedMs: 0,
    depth: 0,
    doubts: 0,
    gone: false,
    queued: false,
  };
}

export const hasSlot = (holder: Holder): boolean =>
  holder.children < holder.slots && holder.doubts < HOLDER_DOUBTS_MAX;
export const isIdle = (holder: Holder): boolean =>
  holder.speed === 'usual' && holder.children === 0 && holder.doubts < HOLDER_DOUBTS_MAX;

type Test = (holder: Holder) => boolean;

/**
 * Candidates in order of arrival, which is also by depth. One that can no longer send is dropped
 * when it reaches the head, and is added again when it can.
 */
export class Line {
  readonly #able: Test;
  #holders: Holder[] = [];
  #head = 0;

  constructor(able: Test) {
    this.#able = able;
  }

  push(holder: Holder): void {
    holder.queued = true;
    this.#holders.push(holder);
  }

  /**
   * Of the first TREE_CHOICES that will do, the one with the fewest children of all shards; looks
   * at TREE_SCAN_MAX at most.
   */
  pick(does: Test): Holder | undefined {
    this.#dropHead();
    let best: Holder | undefined;
    let left = TREE_CHOICES;
    const end = Math.min(this.#holders.length, this.#head + TREE_SCAN_MAX);
    for (let at = this.#head; at < end && left > 0; at++) {
      const holder = this.#holders[at]!;
      if (holder.gone || !this.#able(holder) || !does(holder)) continue;
      if (
        best === undefined ||
        holder.depth < best.depth ||
        (holder.depth === best.depth && holder.load < best.load)
      )
        best = holder;
      left--;
    }
    return best;
  }

  #dropHead(): void {
    const holders = this.#holders;
    while (
      this.#head < holders.length &&
      (holders[this.#head]!.gone || !this.#able(holders[this.#head]!))
    )
      holders[this.#head++]!.queued = false;
    if (this.#head > 64 && this.#head * 2 > holders.length) {
      this.#holders = holders.slice(this.#head);
      this.#head = 0;
    }
  }
}

/**
 * Candidates without an order: TREE_CHOICES of them are drawn and the least loaded taken (the power
 * of two choices, Mitzenmacher 1996). Drawing spares the early comers, which a line would load in
 * every tree.
 */
export class Crowd {
  readonly #able: Test;
  readonly #holders: Holder[] = [];
  #draws: number;

  constructor(able: Test, seed: number) {
    this.#able = able;
    this.#draws = seed;
  }

  push(holder: Holder): void {
    holder.queued = true;
    this.#holders.push(holder);
  }

  pick(does: Test): Holder | undefined {
    let best: Holder | undefined;
    let left = TREE_CHOICES;
    for (let tries = 0; tries < TREE_SCAN_MAX && left > 0 && this.#holders.length > 0; tries++) {
      const at = Math.floor((mix32(this.#draws++) / 2 ** 32) * this.#holders.length);
      const holder = this.#holders[at]!;
      if (holder.gone || !this.#able(holder)) {
        this.#drop(at);
        continue;
      }
      left--;
      if (does(holder) && (best === undefined || holder.load < best.load)) best = holder;
    }
    return best;
  }

  #drop(at: number): void {
    this.#holders[at]!.queued = false;
    const last = this.#holders.pop()!;
    if (at < this.#holders.length) this.#holders[at] = last;
  }
}
