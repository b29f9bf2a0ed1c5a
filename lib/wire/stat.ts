import type { WireError } from '../errors.ts';
import type { Report, StatResult } from '../swarm/types.ts';
import { formatDeclined, parseAnswer } from './declined.ts';
import { isNodeName, isSize, parseChecksum, shardOf, type ShardOf } from './fields.ts';

/**
 * The checksum of a shard, and a report on the parent it was read from:
 *
 *   GET /rpc/stat/<key>/<shard>?node=A&report=R[&parent=B][&zone=Z]
 *     200 {totalBytes, lengthBytes, checksum}     404, 503 and 424 as for a pread
 */
export interface StatQuery extends ShardOf {
  node: string;
  zone: string | null;
  parent: string | null;
  report: Report;
}

export type StatAnswer = Exclude<StatResult, { kind: 'failed'; error: WireError }>;

const REPORTS = ['none', 'done', 'failed', 'slow', 'lied'] as const;

export function statPath(query: StatQuery): string {
  const more = new URLSearchParams({ node: query.node, report: query.report });
  if (query.zone !== null) more.set('zone', query.zone);
  if (query.parent !== null) more.set('parent', query.parent);
  return `/rpc/stat/${query.key}/${query.shard}?${more}`;
}

/** The request in a path and query, or null. */
export function parseStat(path: string, query: string): StatQuery | null {
  const shard = shardOf(path);
  const more = new URLSearchParams(query);
  const node = more.get('node') ?? '';
  const parent = more.get('parent');
  const report = REPORTS.find((known) => known === more.get('report'));
  if (
    shard === null ||
    report === undefined ||
    !isNodeName(node) ||
    (parent !== null && !isNodeName(parent))
  )
    return null;
  return { ...shard, node, zone: more.get('zone'), parent, report };
}

export function formatStatAnswer(answer: StatAnswer): { status: number; body: object } {
  if (answer.kind !== 'stat') return formatDeclined(answer);
  const { totalBytes, lengthBytes, checksum } = answer;
  return { status: 200, body: { totalBytes, lengthBytes, checksum } };
}

/** Throws PEER_BROKEN when the answer is invalid. */
export function parseStatAnswer(status: number, text: string): StatAnswer {
  return parseAnswer(status, text, ({ totalBytes, lengthBytes, checksum: text }) => {
    const checksum = parseChecksum(text);
    return status === 200 && checksum !== null && isSize(totalBytes) && isSize(lengthBytes)
      ? { kind: 'stat' as const, totalBytes, lengthBytes, checksum }
      : null;
  });
}
