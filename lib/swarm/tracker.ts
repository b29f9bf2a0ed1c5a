import {
  HOLDER_DOUBTS_MAX,
  HOLDER_STALE_MS,
  OWNER_CHILDREN_MAX,
  OWNER_RETRY_MS,
  TREE_FANOUT,
} from './limits.ts';
import { Crowd, type Holder, hasSlot, isIdle, Line, newHolder } from './candidates.ts';
import type { Speed } from './lines.ts';
import { hash32 } from './rank.ts';
import { type TreeShape, treeShape } from './shape.ts';
import type { NodeId, Report, ShardFacts, TreeEdge } from './types.ts';

/** A node that asks its owner for a shard. */
export interface TreeAsker {
  node: NodeId;
  zone: string | null;
  /** See Holder.load. */
  load: number;
  /** Nodes it will not be sent to. */
  exclude: readonly NodeId[];
  /** Its line; 'usual' by default. */
  speed?: Speed;
  /** Its parent is gone, and not only late. */
  parentFailed?: boolean | undefined;
}

export type TrackerVerdict =
  | { kind: 'serve' }
  | { kind: 'redirect'; parents: NodeId[] }
  | { kind: 'busy'; retryMs: number };

/**
 * The owner's view of one shard: which nodes have it or are receiving it, and from which parent. It
 * grows a tree in the order of the requests. Each node is an inner node (with `fanout` children) in
 * one of `fanout` trees and a leaf in the others, by the hash of its name and the index of the
 * shard, so that all nodes send about as much as they receive. Interior-disjoint trees are from
 * SplitStream (Castro et al., SOSP 2003). Candidates queue in the order of arrival, so the
 * shallowest comes first. The queue of the asker's zone comes before those of other zones.
 */
export class Tracker {
  /** Milliseconds; set by every request, for expiry. */
  usedMs = 0;
  facts: ShardFacts | null = null;
  /** Whether the owner has left the shard to the next before it began to read it. */
  isYielded = false;
  readonly #index: number;
  readonly #shape: TreeShape;
  readonly #owner: Holder;
  #deepest = 0;
  /** Whether a node with children was forgotten. */
  #areOrphans = false;
  /** Chains begun, per zone. */
  readonly #heads = new Map<string | null, number>();
  #freedMs = -Infinity;
  readonly #holders = new Map<NodeId, Holder>();
  /** Per zone, holders with a free slot; in chains, slow ones apart. */
  readonly #open = new Map<string | null, Line>();
  readonly #openSlow = new Map<string | null, Line>();
  /** Per zone, leaves: they take a child when no slot is free. */
  readonly #spare = new Map<string | null, Crowd>();

  constructor(
    index: number,
    self: { node: NodeId; zone: string | null },
    shape: TreeShape = treeShape,
  ) {
    this.#index = index;
    this.#shape = shape;
    this.#owner = newHolder(self.node, self.zone, shape.ownerFanout);
  }

  /** Nodes tracked. */
  get size(): number {
    return this.#holders.size;
  }

  /**
   * Where a node is to get the shard from; it is in the tree from now on. `fit` says whether a node
   * is good enough to be a parent.
   */
  ask(asker: TreeAsker, fit: (node: NodeId) => boolean, nowMs = this.usedMs): TrackerVerdict {
    const { node, zone, load, exclude, speed = 'usual', parentFailed = false } = asker;
    let holder = this.#holders.get(node);
    let heir: Holder | null = null;
    let unheard: Holder | null = null;
    if (holder === undefined) {
      holder = newHolder(node, zone, this.#slots(node));
    } else {
      const left = holder.parent;
      if (left !== null && left !== this.#owner) {
        // A node with nothing against its parent has not heard of it: the answer was lost.
        if (!exclude.includes(left.node)) unheard = left;
        else {
          left.doubts++;
          if (parentFailed) heir = left.parent;
        }
      }
      this.#leaveParent(holder);
      holder.complete = false;
    }
    holder.load = load;
    holder.askedMs = nowMs;
    // It then stands in the other line, too. The old entry is dropped where it is found.
    if (holder.speed !== speed) holder.queued = false;
    holder.speed = speed;
    holder.slots = this.#slots(node, speed);
    const isStillFit = unheard !== null && !unheard.gone && hasSlot(unheard) && fit(unheard.node);
    let parent = isStillFit ? unheard : this.#choose(holder, heir, exclude, fit);
    if (parent === null && this.#freeStale(nowMs))
      parent = this.#choose(holder, heir, exclude, fit);
    if (parent === null) return { kind: 'busy', retryMs: OWNER_RETRY_MS };
    holder.parent = parent;
    holder.depth = parent === this.#owner || parent.complete ? 1 : parent.depth + 1;
    this.#deepest = Math.max(this.#deepest, holder.depth);
    holder.isGuest = this.#isChain && speed === 'slow' && parent.speed !== 'slow';
    if (holder.isGuest) parent.guests++;
    else parent.children++;
    parent.load++;
    if (!this.#holders.has(node)) this.#holders.set(node, holder);
    this.#queue(holder);
    return parent === this.#owner
      ? { kind: 'serve' }
      : { kind: 'redirect', parents: [parent.node] };
  }

  /**
   * What a child says of its transfer from `parent` (null: from the owner). A node not known that
   * is done becomes a holder.
   */
  report(node: NodeId, zone: string | null, parent: NodeId | null, report: Report): void {
    const culprit = parent === null ? undefined : this.#holders.get(parent);
    const holder = this.#holders.get(node);
    if (report === 'done') {
      if (holder !== undefined) {
        this.#leaveParent(holder);
        holder.complete = true;
        // Kept for the picture only; two that got it from each other in turn make no circle.
        holder.parent =
          culprit !== undefined && !this.#leadsTo(culprit, holder) ? culprit : this.#owner;
      } else if (node !== this.#owner.node) {
        const late = newHolder(node, zone, this.#slots(node));
        late.parent = this.#owner;
        late.complete = true;
        late.askedMs = this.usedMs;
        this.#holders.set(node, late);
        this.#queue(late);
      }
    } else if (culprit !== undefined && (report === 'failed' || report === 'slow'))
      culprit.doubts++;
    // A relay of wrong bytes says so itself, before or after its children complain of it: it has a
    // culprit of its own.
    else if (culprit !== undefined && report === 'lied') culprit.doubts += HOLDER_DOUBTS_MAX;
  }

  /** The owner's own sending to `node` has ended. */
  sent(node: NodeId, whole: boolean): void {
    const holder = this.#holders.get(node);
    if (holder === undefined || holder.parent !== this.#owner || holder.complete || whole) return;
    const isHead = !holder.isGuest;
    this.#leaveParent(holder);
    // The place at the head of a chain is free again: for itself, when it asks again after "busy".
    const heads = this.#heads.get(holder.zone) ?? 0;
    if (isHead && heads > 0) this.#heads.set(holder.zone, heads - 1);
  }

  /** The node is gone or no longer has the shard. */
  forget(node: NodeId): void {
    const holder = this.#holders.get(node);
    if (holder === undefined) return;
    holder.gone = true;
    this.#areOrphans ||= holder.children + holder.guests > 0;
    this.#leaveParent(holder);
    this.#holders.delete(node);
  }

  forgetAll(isMember: (node: NodeId) => boolean): void {
    for (const node of this.#holders.keys()) if (!isMember(node)) this.forget(node);
  }

  /**
   * The greatest depth of the tree so far: nodes from one that has the shard whole to the last
   * receiver.
   */
  get depth(): number {
    return this.#deepest;
  }

  /**
   * Nodes a shard was to pass through when `node` was given its place, itself included; null when
   * it has none.
   */
  depthOf(node: NodeId): number | null {
    return this.#holders.get(node)?.depth ?? null;
  }

  edges(edgesMax: number): TreeEdge[] {
    const edges: TreeEdge[] = [];
    for (const holder of this.#holders.values()) {
      if (edges.length >= edgesMax) break;
      edges.push({
        shard: this.#index,
        node: holder.node,
        parent: holder.parent === null || holder.parent === this.#owner ? null : holder.parent.node,
        complete: holder.complete,
      });
    }
    return edges;
  }

  get #isChain(): boolean {
    return this.#shape.fanout === 1;
  }

  #slots(node: NodeId, speed: Speed = 'usual'): number {
    if (speed === 'slow' && !this.#isChain) return 0;
    return isInner(node, this.#index, this.#shape.fanout) ? this.#shape.fanout : 0;
  }

  /**
   * Own zone's free slots (the owner's are last of them), own zone's leaves, the owner across
   * zones, other zones', and the owner beyond its measure.
   */
  #choose(
    holder: Holder,
    heir: Holder | null,
    exclude: readonly NodeId[],
    fit: (node: NodeId) => boolean,
  ): Holder | null {
    const owner = this.#owner;
    const does = (candidate: Holder): boolean =>
      candidate !== holder &&
      !exclude.includes(candidate.node) &&
      !this.#isUnder(candidate, holder) &&
      fit(candidate.node);
    if (this.#isChain && holder.speed === 'slow') {
      const host = this.#hostFor(holder, does);
      if (host !== undefined) return host;
    } else if (this.#isChain && !exclude.includes(owner.node)) {
      // The first of each chain is sent the shard by the owner itself. Each zone has a chain of its
      // own: one through several would cross between them again and again.
      const heads = this.#heads.get(holder.zone) ?? 0;
      if (heads < (holder.zone === owner.zone ? owner.slots : 1)) {
        this.#heads.set(holder.zone, heads + 1);
        return owner;
      }
    }
    // In a chain, the parent of a node that has gone now sends to nobody.
    if (heir !== null && this.#isChain && heir.children <= 1 && does(heir)) return heir;
    const own = this.#open.get(holder.zone)?.pick(does);
    if (own !== undefined) return own;
    const ownerHasSlot =
      owner.children <
      (holder.slots > 0 ? owner.slots : Math.min(owner.slots, this.#shape.ownerLeaves));
    if (ownerHasSlot && owner.zone === holder.zone) return owner;
    const ownSpare = this.#spare.get(holder.zone)?.pick(does);
    if (ownSpare !== undefined) return ownSpare;
    if (ownerHasSlot) return owner;
    for (const candidates of [this.#open, this.#spare]) {
      for (const [zone, line] of candidates) {
        const other = zone === holder.zone ? undefined : line.pick(does);
        if (other !== undefined) return other;
      }
    }
    return owner.children < OWNER_CHILDREN_MAX ? owner : null;
  }

  /**
   * Who sends the shard to a slow node, in a chain. Slow nodes have a chain of their own, so that
   * no other node waits for them: it begins at a node of the usual chain, beside that node's child.
   */
  #hostFor(holder: Holder, does: (candidate: Holder) => boolean): Holder | undefined {
    const isFree = (host: Holder): boolean => host.guests === 0 && does(host);
    return (
      this.#openSlow.get(holder.zone)?.pick(does) ??
      this.#open.get(holder.zone)?.pick(isFree) ??
      (isFree(this.#owner) ? this.#owner : undefined)
    );
  }

  /**
   * Whether `holder` is `above` or gets the shard through it: then it must not become its parent.
   */
  #isUnder(holder: Holder, above: Holder): boolean {
    if (above.children === 0 && above.guests === 0 && !this.#areOrphans) return false;
    let steps = 0;
    for (let at: Holder | null = holder; at !== null; at = at.parent) {
      // By name: one that was forgotten with children and asks again is another holder.
      if (at.node === above.node || ++steps > this.#holders.size) return true;
      if (at.complete) return false;
    }
    return false;
  }

  #leadsTo(holder: Holder, above: Holder): boolean {
    let steps = 0;
    for (let at: Holder | null = holder; at !== null; at = at.parent)
      if (at === above || ++steps > this.#holders.size) return true;
    return false;
  }

  /**
   * Gives back the places of nodes that asked long ago and were not heard of again: they died, or
   * went to another owner.
   */
  #freeStale(nowMs: number): boolean {
    let freed = false;
    if (nowMs - this.#freedMs < OWNER_RETRY_MS) return false;
    this.#freedMs = nowMs;
    for (const holder of this.#holders.values()) {
      if (holder.complete || holder.parent === null || nowMs - holder.askedMs < HOLDER_STALE_MS)
        continue;
      this.#leaveParent(holder);
      freed = true;
    }
    return freed;
  }

  #leaveParent(holder: Holder): void {
    const parent = holder.parent;
    holder.parent = null;
    // Of a complete holder the parent is history: its slot was given back.
    if (parent === null || holder.complete) return;
    if (holder.isGuest) parent.guests = Math.max(0, parent.guests - 1);
    else parent.children = Math.max(0, parent.children - 1);
    if (parent !== this.#owner) this.#queue(parent);
  }

  #queue(holder: Holder): void {
    if (holder.queued || holder.gone) return;
    if (holder.slots > 0) {
      const isSlow = holder.speed === 'slow';
      const open = isSlow ? this.#openSlow : this.#open;
      let line = open.get(holder.zone);
      if (line === undefined) {
        line = new Line((one) => hasSlot(one) && (one.speed === 'slow') === isSlow);
        open.set(holder.zone, line);
      }
      line.push(holder);
    } else {
      let crowd = this.#spare.get(holder.zone);
      if (crowd === undefined)
        this.#spare.set(
          holder.zone,
          (crowd = new Crowd(isIdle, hash32(this.#owner.node) + this.#index)),
        );
      crowd.push(holder);
    }
  }
}

/**
 * Whether a node is to have children in the tree of shard `index`: in one tree of `fanout`, a
 * different one for each node.
 */
export function isInner(node: NodeId, index: number, fanout = TREE_FANOUT): boolean {
  return innerShards(node, fanout)(index);
}

/** `isInner` of one node, for many shards. */
export function innerShards(node: NodeId, fanout: number): (index: number) => boolean {
  const first = hash32(node) % fanout;
  return (index) => (first + index) % fanout === 0;
}
