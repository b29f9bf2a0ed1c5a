import { GATHER_MS } from '../limits.ts';
import {
  CHAIN_SHARD_MS_MIN,
  FEW_NODES_MAX,
  OWNER_FANOUT,
  OWNER_LEAVES,
  TREE_FANOUT,
  UNKNOWN_LINE_CHAIN_NODES_MAX,
} from './limits.ts';

/** In chains of up to so many nodes, few wake-ups gain more than short hops. */
const SHORT_CHAIN_NODES = 16;

/** Bytes are gathered for so long at least: on fast lines, wake-ups cost more than hops. */
export const GATHER_MS_MIN = 5;

/** What is passed on at once, in shards: 64 to 256 KiB. */
const PIECE_SHARDS = { least: 1 / 32, most: 1 / 8 };

/** Shape of the trees, handed in so that the simulator can try others. */
export interface TreeShape {
  /** Children of an inner node; each node is inner in one of so many trees. */
  fanout: number;
  /**
   * Children of the owner, and how many of them may be leaves: those that come first must not keep
   * the inner nodes out.
   */
  ownerFanout: number;
  ownerLeaves: number;
}

export const treeShape: TreeShape = {
  fanout: TREE_FANOUT,
  ownerFanout: OWNER_FANOUT,
  ownerLeaves: OWNER_LEAVES,
};

/**
 * How long a node of a swarm of `agents` gathers the bytes of a shard before it passes them on, in
 * ms. This is what a hop costs, so long chains get small pieces: PIECE_SHARDS.least, if that is
 * less than GATHER_MS brings. `shardMs`: what the line needs for a shard; Infinity while unknown.
 */
export function gatherMs(agents: number, shardMs: number): number {
  if (agents <= SHORT_CHAIN_NODES) return GATHER_MS;
  return Math.min(GATHER_MS, Math.max(GATHER_MS_MIN, shardMs * PIECE_SHARDS.least));
}

/**
 * The shape for a swarm of `agents`. Chains where nodes are few or a shard takes long to send
 * (`shardMs`, Infinity while unknown: then chains, too, in a swarm that is not large): each node
 * sends every shard once, so no uplink is divided and all carry the same. Where shards are short,
 * hops and messages cost more than sending, and trees are faster. Figures: docs/SWARM.md.
 */
export function shapeFor(agents: number, shardMs: number): TreeShape {
  const isLineSlow =
    shardMs === Infinity ? agents <= UNKNOWN_LINE_CHAIN_NODES_MAX : shardMs >= CHAIN_SHARD_MS_MIN;
  if (agents > FEW_NODES_MAX && !isLineSlow) return treeShape;
  const chains = chainsFor(agents, shardMs);
  return { fanout: 1, ownerFanout: chains, ownerLeaves: chains };
}

/**
 * Chains that a shard is sent along. The owner sends it once for each, and a hop costs the time of
 * a piece. So the last node has it after `chains + agents * piece / chains` shard times, `piece`
 * being a part of a shard. That is least where both terms are equal.
 */
function chainsFor(agents: number, shardMs: number): number {
  const piece = shardMs === Infinity ? 0 : gatherMs(agents, shardMs) / shardMs;
  const shards = Math.min(PIECE_SHARDS.most, Math.max(PIECE_SHARDS.least, piece));
  return Math.max(1, Math.round(Math.sqrt(agents * shards)));
}
