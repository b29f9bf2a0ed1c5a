import type { TreeEdge } from '../telemetry/status.ts';
import { isNodeName, KEY, parseObject } from './fields.ts';
import { TREE_EDGES_MAX } from './limits.ts';

/**
 * Who has a shard from whom, as a node that owns the shard keeps it:
 *
 *   GET /rpc/tree/<key>/<shard>     200 {edges: [[parent, child, isComplete], ...]}
 */
const TREE_PATH = new RegExp(`^/rpc/tree/(${KEY})/(\\d{1,9})$`);

export function treePath(key: string, shard: number): string {
  return `/rpc/tree/${key}/${shard}`;
}

/** The request in a path, or null. */
export function parseTree(path: string): { key: string; shard: number } | null {
  const match = TREE_PATH.exec(path);
  return match === null ? null : { key: match[1]!, shard: Number(match[2]) };
}

export function formatEdges(edges: readonly TreeEdge[]): object {
  return { edges: edges.map(({ parent, child, state }) => [parent, child, state === 'complete']) };
}

/** The valid edges in an answer's body. */
export function parseEdges(text: string): TreeEdge[] {
  const { edges } = parseObject(text) ?? {};
  if (!Array.isArray(edges)) return [];
  return (edges as unknown[]).slice(0, TREE_EDGES_MAX).flatMap((edge) => {
    const [parent, child, isComplete] = Array.isArray(edge) ? (edge as unknown[]) : [];
    return typeof parent === 'string' &&
      typeof child === 'string' &&
      isNodeName(parent) &&
      isNodeName(child)
      ? [
          {
            parent,
            child,
            state: isComplete === true ? ('complete' as const) : ('receiving' as const),
          },
        ]
      : [];
  });
}
