import { RECALL_IDS_MAX } from './limits.ts';

/**
 * What nodes say to each other, as paths (the wire is HTTP/1.1 on the p2p port, every request
 * signed):
 *
 *   GET /rpc/pread/<key>/<shard>?from=N&node=A&role=R&hops=H&load=L[&zone=Z][&not=B,C]
 *     200 the shard's bytes from N on; Shoal-Total: the blob's size; Shoal-Checksum: the shard's,
 * once known
 *     307 {parents, checksum, totalBytes}   404 {kind: 'miss'}   503 {kind: 'busy', retryMs}
 *     424 the origin's refusal, as a WireError
 *   GET /rpc/stat/<key>/<shard>?node=A&report=R[&parent=B][&zone=Z]
 *     200 {totalBytes, lengthBytes, checksum}   404   503   424
 *   GET /rpc/fetch/<key>?total=N   to bring the blob to itself; answered after a moment at most, to
 * be asked again until all is held
 *     200 {shards, held, error}
 *   GET /rpc/recall/<id>[,<id>...]   what registries said lately (lib/registry/words.ts)
 *     200 {<id>: {word, ageMs, node}, ...}
 *   GET /rpc/words, its `shoal-words` header the same object, sealed: to be remembered
 *     200 {}
 *
 * A key is `sha256:<64 hex>` or `url:<64 hex>`, so a path holds no URL and no secret.
 */
export interface PreadQuery {
  key: string;
  shard: number;
  fromBytes: number;
  node: string;
  zone: string | null;
  role: 'owner' | 'parent' | 'root';
  exclude: string[];
  hops: number;
  /** Children the asker is sending to now. */
  load: number;
}

export interface StatQuery {
  key: string;
  shard: number;
  node: string;
  zone: string | null;
  parent: string | null;
  report: 'none' | 'done' | 'failed' | 'slow' | 'lied';
}

const SHARD_PATH = /^\/rpc\/(?:pread|stat)\/((?:sha256|url):[0-9a-f]{64})\/(\d{1,9})$/;
const NODE = /^[0-9A-Za-z.:[\]-]{3,80}$/;
const OPAQUE = /^[0-9a-f]{64}$/;
const ROLES = ['owner', 'parent', 'root'] as const;
const REPORTS = ['none', 'done', 'failed', 'slow', 'lied'] as const;

export function preadPath(query: PreadQuery): string {
  const more = new URLSearchParams({
    from: String(query.fromBytes),
    node: query.node,
    role: query.role,
    hops: String(query.hops),
    load: String(query.load),
  });
  if (query.zone !== null) more.set('zone', query.zone);
  if (query.exclude.length > 0) more.set('not', query.exclude.join(','));
  return `/rpc/pread/${query.key}/${query.shard}?${more}`;
}

export function statPath(query: StatQuery): string {
  const more = new URLSearchParams({ node: query.node, report: query.report });
  if (query.zone !== null) more.set('zone', query.zone);
  if (query.parent !== null) more.set('parent', query.parent);
  return `/rpc/stat/${query.key}/${query.shard}?${more}`;
}

/** The request of a path and query, or null when they are not one. */
export function parsePread(path: string, query: string): PreadQuery | null {
  const shard = shardOf(path);
  const more = new URLSearchParams(query);
  const node = more.get('node') ?? '';
  const role = ROLES.find((known) => known === more.get('role'));
  const fromBytes = count(more.get('from'));
  const hops = count(more.get('hops'));
  const load = count(more.get('load') ?? '0');
  const exclude = (more.get('not') ?? '').split(',').filter((name) => name !== '');
  if (
    shard === null ||
    role === undefined ||
    fromBytes === null ||
    hops === null ||
    load === null ||
    ![node, ...exclude].every((name) => NODE.test(name))
  )
    return null;
  return { ...shard, fromBytes, node, zone: more.get('zone'), role, exclude, hops, load };
}

/** The request of a path and query, or null when they are not one. */
export function parseStat(path: string, query: string): StatQuery | null {
  const shard = shardOf(path);
  const more = new URLSearchParams(query);
  const node = more.get('node') ?? '';
  const parent = more.get('parent');
  const report = REPORTS.find((known) => known === more.get('report'));
  if (
    shard === null ||
    report === undefined ||
    !NODE.test(node) ||
    (parent !== null && !NODE.test(parent))
  )
    return null;
  return { ...shard, node, zone: more.get('zone'), parent, report };
}

/** A blob that a node is to bring to itself. */
export interface FetchQuery {
  key: string;
  totalBytes: number;
}

export function fetchPath(query: FetchQuery): string {
  return `/rpc/fetch/${query.key}?total=${query.totalBytes}`;
}

/** The request of a path and query, or null when they are not one. */
export function parseFetch(path: string, query: string): FetchQuery | null {
  const key = /^\/rpc\/fetch\/((?:sha256|url):[0-9a-f]{64})$/.exec(path)?.[1];
  const total = new URLSearchParams(query).get('total') ?? '';
  return key === undefined || !/^\d{1,14}$/.test(total) ? null : { key, totalBytes: Number(total) };
}

/** Where a node is told words to remember. */
export const WORDS_PATH = '/rpc/words';

export function recallPath(ids: readonly string[]): string {
  return `/rpc/recall/${ids.join(',')}`;
}

/** The ids a path asks about, or null when it does not. */
export function parseRecall(path: string): string[] | null {
  const ids = path.slice('/rpc/recall/'.length).split(',');
  return ids.length <= RECALL_IDS_MAX && ids.every((id) => OPAQUE.test(id)) ? ids : null;
}

/** The JSON object in `text`, its keys opaque ids, or null when it is none. */
export function parseWords(text: string | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text ?? '');
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    const ids = isObject ? Object.keys(value) : [];
    return isObject && ids.length <= RECALL_IDS_MAX && ids.every((id) => OPAQUE.test(id))
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function shardOf(path: string): { key: string; shard: number } | null {
  const match = SHARD_PATH.exec(path);
  return match === null ? null : { key: match[1]!, shard: Number(match[2]) };
}

function count(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
