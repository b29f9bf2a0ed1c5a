import type { WireError } from '../errors.ts';
import type { Asker, AttemptResult, Verdict } from '../swarm/types.ts';
import { PEER_HOLD_MS } from '../limits.ts';
import { formatDeclined, parseAnswer } from './declined.ts';
import { EXCLUDED_NODES_MAX, HOLD_MS_MAX, PARENTS_MAX } from './limits.ts';
import { isNodeName, isSize, parseChecksum, parseCount, shardOf, type ShardOf } from './fields.ts';

/**
 * The bytes of a shard:
 *
 *   GET /rpc/pread/<key>/<shard>?from=N&node=A&role=R&hops=H&load=L&hold=MS[&pace=MS]
 *       [&line=MS][&zone=Z][&not=B,C][&whole=1][&checked=1][&gone=1]
 *     200 the bytes from N on, with Shoal-Total and, once known, Shoal-Checksum; Shoal-Checked when
 *         only checked bytes were wanted
 *     307 {parents, checksum, totalBytes}     404, 503 and 424: declined.ts
 */
export interface PreadQuery extends ShardOf, Asker {
  fromBytes: number;
  /** Milliseconds the request may be held while there is no byte to send. */
  holdMs: number;
  /** The blob's origin serves it only as a whole: see ShardId.rankedAs. */
  whole?: true;
}

/** An answer other than the bytes: what the core of the asked node decided, or a refusal. */
export type PreadVerdict = Exclude<Verdict, { kind: 'serve' }>;
export type PreadAnswer = PreadVerdict | { kind: 'refused'; error: WireError };

/** Whatever comes of reading a shard from a node: what the core of the asking node is told. */
export type PreadResult = AttemptResult;

const ROLES = ['owner', 'parent', 'root', 'holder'] as const;

export function preadPath(query: PreadQuery): string {
  const more = new URLSearchParams({
    from: String(query.fromBytes),
    node: query.node,
    role: query.role,
    hops: String(query.hops),
    load: String(query.load),
    hold: String(Math.round(query.holdMs)),
  });
  if (query.lineMs !== undefined) more.set('line', String(Math.ceil(query.lineMs)));
  if (query.zone !== null) more.set('zone', query.zone);
  if (query.exclude.length > 0) more.set('not', query.exclude.join(','));
  if (query.whole === true) more.set('whole', '1');
  if (query.checked === true) more.set('checked', '1');
  if (query.parentFailed === true) more.set('gone', '1');
  return `/rpc/pread/${query.key}/${query.shard}?${more}`;
}

/** The request in a path and query, or null. Parameters of a newer minor version are ignored. */
export function parsePread(path: string, query: string): PreadQuery | null {
  const shard = shardOf(path);
  const more = new URLSearchParams(query);
  const node = more.get('node') ?? '';
  const role = ROLES.find((known) => known === more.get('role'));
  const fromBytes = parseCount(more.get('from'));
  const hops = parseCount(more.get('hops'));
  const load = parseCount(more.get('load') ?? '0');
  const holdMs = parseCount(more.get('hold') ?? String(PEER_HOLD_MS));
  const lineMs = parseCount(more.get('line'));
  const exclude = (more.get('not') ?? '').split(',').filter((name) => name !== '');
  if (
    shard === null ||
    role === undefined ||
    fromBytes === null ||
    hops === null ||
    load === null ||
    holdMs === null ||
    exclude.length > EXCLUDED_NODES_MAX ||
    ![node, ...exclude].every(isNodeName)
  )
    return null;
  return {
    ...shard,
    fromBytes,
    node,
    zone: more.get('zone'),
    role,
    exclude,
    hops,
    load,
    holdMs: Math.min(holdMs, HOLD_MS_MAX),
    ...(lineMs === null ? {} : { lineMs }),
    ...(more.get('whole') === '1' ? { whole: true } : {}),
    ...(more.get('checked') === '1' ? { checked: true } : {}),
    ...(more.get('gone') === '1' ? { parentFailed: true } : {}),
  };
}

/**
 * The headers of a 200. `checksum` is the shard's, hex; `isChecked`: the sender has checked all
 * bytes that it will send.
 */
export function preadHeaders(
  totalBytes: number,
  checksum: string | null,
  isChecked: boolean,
): [string, string][] {
  return [
    ['Shoal-Total', String(totalBytes)],
    ...(checksum === null ? [] : [['Shoal-Checksum', checksum] as [string, string]]),
    ...(isChecked ? [['Shoal-Checked', '1'] as [string, string]] : []),
  ];
}

/** What the head of a 200 says; `totalBytes` null: it is invalid. */
export function parsePreadHeaders(headers: Readonly<Record<string, string>>): {
  totalBytes: number | null;
  checksum: string | null;
  isChecked: boolean;
} {
  const total = headers['shoal-total'] ?? '';
  const totalBytes = /^\d{1,16}$/.test(total) ? Number(total) : Number.NaN;
  return {
    totalBytes: isSize(totalBytes) ? totalBytes : null,
    checksum: parseChecksum(headers['shoal-checksum']),
    isChecked: headers['shoal-checked'] === '1',
  };
}

export function formatPreadAnswer(answer: PreadAnswer): { status: number; body: object } {
  if (answer.kind !== 'redirect') return formatDeclined(answer);
  const { parents, checksum, totalBytes } = answer;
  return { status: 307, body: { parents, checksum, totalBytes } };
}

/** An answer other than a 200. Throws PEER_BROKEN when it is invalid. */
export function parsePreadAnswer(status: number, text: string): PreadAnswer {
  return parseAnswer(status, text, (body) => (status === 307 ? parseRedirect(body) : null));
}

function parseRedirect({
  parents,
  checksum,
  totalBytes,
}: Record<string, unknown>): Extract<PreadVerdict, { kind: 'redirect' }> | null {
  if (
    !Array.isArray(parents) ||
    parents.length > PARENTS_MAX ||
    !parents.every((parent) => typeof parent === 'string' && isNodeName(parent))
  )
    return null;
  return {
    kind: 'redirect',
    parents,
    checksum: parseChecksum(checksum),
    totalBytes: isSize(totalBytes) ? totalBytes : null,
  };
}
