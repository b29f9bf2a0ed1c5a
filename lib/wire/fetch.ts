import type { WireError } from '../errors.ts';
import { isSize, KEY, parseObject } from './fields.ts';
import { formatRefusal, parseRefusal } from './refusal.ts';

/**
 * A blob that a node is to fetch whole, to have it ahead of its clients:
 *
 *   GET /rpc/fetch/<key>?total=N     200 {shards, held, error}, after a moment at most
 *
 * The asker repeats it until all is held.
 */
export interface FetchQuery {
  key: string;
  totalBytes: number;
}

/** How much of a blob a node has. */
export interface Holding {
  shards: number;
  held: number;
  /** Why the last shard that failed did. */
  error: WireError | null;
}

const FETCH_PATH = new RegExp(`^/rpc/fetch/(${KEY})$`);

export function fetchPath(query: FetchQuery): string {
  return `/rpc/fetch/${query.key}?total=${query.totalBytes}`;
}

/** The request in a path and query, or null. */
export function parseFetch(path: string, query: string): FetchQuery | null {
  const key = FETCH_PATH.exec(path)?.[1];
  const total = new URLSearchParams(query).get('total') ?? '';
  return key === undefined || !/^\d{1,14}$/.test(total) ? null : { key, totalBytes: Number(total) };
}

export function formatHolding({ shards, held, error }: Holding): object {
  return { shards, held, error: error === null ? null : formatRefusal(error) };
}

/** The answer in the body of a 200, or null. */
export function parseHolding(text: string): Holding | null {
  const { shards, held, error } = parseObject(text) ?? {};
  return isSize(shards) && isSize(held)
    ? { shards, held, error: error === null ? null : parseRefusal(error) }
    : null;
}
