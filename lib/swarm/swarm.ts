import type { ShardFetch } from './fetch.ts';
import type { AskRequest, FetchContext, Member, NodeId, Report, ShardId, ShardWord, SwarmOptions, SwarmSnapshot, TreeEdge, Verdict } from './types.ts';

/** The signatures the node is built against; the class below has them all. */
export interface SwarmApi {
  /** Replaces the members; nodes that are gone are forgotten, with their children. Own entry optional. */
  setMembers(members: readonly Member[]): void;
  /**
   * The fetch of a shard: the one under way (single-flight; `context` is added to its ways to the origin), or a new
   * one, begun at once. `onBehalf` is the request of the node that made this one go and get it, when that is why.
   */
  want(shard: ShardId, context: FetchContext | null, onBehalf?: AskRequest): ShardFetch;
  /** The fetch under way, if any. */
  fetching(shard: ShardId): ShardFetch | undefined;
  /** Nobody wants it any more: the fetch ends as `cancelled`. */
  cancel(shard: ShardId): void;
  /** Decides on another node's request. */
  ask(request: AskRequest): Verdict;
  /** Sending to `node` (after a `serve`) is over; `whole`: to the shard's last byte. */
  sent(shard: ShardId, node: NodeId, whole: boolean): void;
  /** Takes in a child's `rpc:stat` report; answer it from the shard's own checksum, else from `word`. */
  report(shard: ShardId, node: NodeId, parent: NodeId | null, report: Report): void;
  /** The checksum of a shard this node owned, even when the shard itself has been evicted. */
  word(shard: ShardId): ShardWord | undefined;
  /** To be called every `SWARM_TICK_MS` while there are fetches, and at least once a second. */
  tick(): void;
  /** The acting owner of a shard, as this node sees it. */
  owner(shard: ShardId): NodeId;
  snapshot(): SwarmSnapshot;
  /** The trees this node keeps for a blob, at most `edgesMax` edges. */
  trees(key: string, edgesMax: number): TreeEdge[];
}

export type { SwarmOptions };
