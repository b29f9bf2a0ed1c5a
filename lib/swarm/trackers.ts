import { TRACKED_NODES_MAX, TRACKERS_MAX } from './limits.ts';
import { ShardMap } from './shard-map.ts';
import type { TreeShape } from './shape.ts';
import { Tracker } from './tracker.ts';
import type { Member, NodeId, ShardId, TreeEdge } from './types.ts';

/**
 * Share of the trackers let go at once when there are too many: the search for the idlest is paid
 * once in so many.
 */
const SHED_SHARE = 1 / 8;

/** The shards a node tracks: bounded in number and in nodes, the longest unasked go first. */
export class Trackers {
  readonly #self: Member;
  readonly #shape: () => TreeShape;
  readonly #trackers = new ShardMap<Tracker>();
  readonly #shards = new Map<Tracker, ShardId>();
  #countedNodes = 0;
  #asks = 0;

  constructor(self: Member, shape: () => TreeShape) {
    this.#self = self;
    this.#shape = shape;
  }

  get size(): number {
    return this.#trackers.size;
  }

  /** The tracker of a shard, if there is one. */
  peek(shard: ShardId): Tracker | undefined {
    return this.#trackers.get(shard);
  }

  /** The tracker of a shard, made when there is none. */
  take(shard: ShardId, nowMs: number): Tracker {
    let tracker = this.#trackers.get(shard);
    if (tracker === undefined) {
      if (this.#trackers.size >= TRACKERS_MAX || this.#tooManyNodes()) this.#shed();
      tracker = new Tracker(shard.index, this.#self, this.#shape());
      this.#trackers.set(shard, tracker);
      this.#shards.set(tracker, shard);
    }
    tracker.usedMs = nowMs;
    return tracker;
  }

  forgetNodes(isMember: (node: NodeId) => boolean): void {
    for (const tracker of this.#shards.keys()) tracker.forgetAll(isMember);
  }

  forgetBefore(usedMs: number): void {
    for (const [tracker, shard] of this.#shards)
      if (tracker.usedMs < usedMs) this.#forget(tracker, shard);
  }

  blobs(): string[] {
    return this.#trackers.keys();
  }

  depthMax(): number {
    let deepest = 0;
    for (const tracker of this.#shards.keys()) deepest = Math.max(deepest, tracker.depth);
    return deepest;
  }

  edges(key: string, edgesMax: number): TreeEdge[] {
    const edges: TreeEdge[] = [];
    for (const tracker of this.#trackers.of(key).values()) {
      if (edges.length >= edgesMax) break;
      edges.push(...tracker.edges(edgesMax - edges.length));
    }
    return edges;
  }

  /**
   * Counts now and then: a tree has at most as many nodes as the swarm, so it cannot run away in
   * between.
   */
  #tooManyNodes(): boolean {
    if (this.#asks++ % 64 === 0) {
      this.#countedNodes = 0;
      for (const tracker of this.#shards.keys()) this.#countedNodes += tracker.size;
    }
    return this.#countedNodes > TRACKED_NODES_MAX;
  }

  #shed(): void {
    const idlest = [...this.#shards]
      .sort(([a], [b]) => a.usedMs - b.usedMs)
      .slice(0, Math.ceil(this.#shards.size * SHED_SHARE));
    for (const [tracker, shard] of idlest) this.#forget(tracker, shard);
    this.#countedNodes = 0;
  }

  #forget(tracker: Tracker, shard: ShardId): void {
    this.#shards.delete(tracker);
    this.#trackers.delete(shard);
  }
}
