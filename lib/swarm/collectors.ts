import { SUMMARY_DIRECT_NODES_MAX, SUMMARY_HEADS, SUMMARY_LEADERS } from './limits.ts';
import { hash32, type Membership } from './rank.ts';
import type { NodeId } from './types.ts';

/** Where the summaries of the swarm's nodes come together. */
export interface Collectors {
  /** They keep the summaries of all nodes: roots, or agents where there are no roots. */
  heads: readonly NodeId[];
  /**
   * They collect for a part of a large swarm and pass it on to the heads; the second stands in for
   * the first. Empty: the swarm is small, every node tells the heads itself.
   */
  leaders: readonly NodeId[];
}

/**
 * The collectors of `node`. With N nodes a head hears from about sqrt(N) leaders and a leader from
 * about sqrt(N) nodes, so neither has work that grows with the swarm.
 */
export function collectorsFor(members: Membership, node: NodeId): Collectors {
  const heads = (members.roots.size > 0 ? members.roots : members.agents)
    .top({ key: 'heads of summaries', index: 0 })
    .slice(0, SUMMARY_HEADS);
  const nodes = members.byNode.size;
  if (nodes <= SUMMARY_DIRECT_NODES_MAX) return { heads, leaders: [] };
  const part = hash32(node) % Math.ceil(Math.sqrt(nodes));
  const leaders = members.owners
    .top({ key: 'leaders of summaries', index: part })
    .slice(0, SUMMARY_LEADERS);
  return { heads, leaders };
}
