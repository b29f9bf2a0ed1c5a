import { FEED_FANOUT, FEED_WATCHERS } from './limits.ts';
import { hash32 } from './rank.ts';
import type { NodeId } from './types.ts';

/** The names of all members. */
export interface FeedMembers {
  agents: readonly NodeId[];
  roots: readonly NodeId[];
}

/**
 * The nodes that a node asks for the list of members, nearest first. Empty: the node watches the
 * source itself, as the roots do, or FEED_WATCHERS agents where there are no roots.
 *
 * All nodes are ranked, roots first, then by the hash of their names. The ranks form a heap in
 * which each node has FEED_FANOUT children. The path leads from the parent up to the watchers. A
 * node only asks nodes that rank before it, so there is no circle, even when nodes have different
 * lists.
 */
export function feedPath(
  { agents, roots }: FeedMembers,
  self: NodeId,
  isRoot: boolean,
): readonly NodeId[] {
  if (isRoot) return [];
  const own = { node: self, hash: hash32(self) };
  const before = [...ranked(roots), ...ranked(agents, own)];
  const watchers = roots.length > 0 ? roots.length : FEED_WATCHERS;
  if (before.length < watchers) return [];
  const path: NodeId[] = [];
  let at = before.length;
  do path.push(before[(at = parentOf(at, watchers))]!.node);
  while (at >= watchers);
  // Any other watcher will do when those of the path are silent; each node begins elsewhere.
  for (let other = 0; other < Math.min(watchers, FEED_WATCHERS); other++) {
    const { node } = before[(own.hash + other) % watchers]!;
    if (!path.includes(node)) path.push(node);
  }
  return path;
}

interface Ranked {
  node: NodeId;
  hash: number;
}

/** The nodes that rank before `end`, in their order. */
function ranked(nodes: readonly NodeId[], end?: Ranked): Ranked[] {
  return nodes
    .map((node) => ({ node, hash: hash32(node) }))
    .filter((one) => end === undefined || order(one, end) < 0)
    .sort(order);
}

function order(one: Ranked, other: Ranked): number {
  if (one.hash !== other.hash) return one.hash - other.hash;
  return one.node === other.node ? 0 : one.node < other.node ? -1 : 1;
}

function parentOf(rank: number, watchers: number): number {
  return Math.floor((rank - watchers) / FEED_FANOUT);
}
