import { CHECKSUM_BYTES } from '../shard.ts';

/** The fields that several messages share, and how each is written in a path or a query. */

/** One shard of one blob; a key is `sha256:<64 hex>` or `url:<64 hex>`, so it holds no secret. */
export interface ShardOf {
  key: string;
  shard: number;
}

export const KEY = '(?:sha256|url):[0-9a-f]{64}';
const SHARD_PATH = new RegExp(`^/rpc/(?:pread|stat)/(${KEY})/(\\d{1,9})$`);
const NODE = /^[0-9A-Za-z.:[\]-]{3,80}$/;
const CHECKSUM = new RegExp(`^[0-9a-f]{${2 * CHECKSUM_BYTES}}$`);

export function shardOf(path: string): ShardOf | null {
  const match = SHARD_PATH.exec(path);
  return match === null ? null : { key: match[1]!, shard: Number(match[2]) };
}

export function isNodeName(text: string): boolean {
  return NODE.test(text);
}

/** Host and port of a node's name: `address:port` or `[v6]:port`. */
export function addressOf(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':');
  return {
    host: node.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(node.slice(colon + 1)),
  };
}

/** A decimal number of at most nine digits. */
export function parseCount(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A checksum as nodes send it (64 hex digits), or null. */
export function parseChecksum(value: unknown): string | null {
  return typeof value === 'string' && CHECKSUM.test(value) ? value : null;
}

/** The JSON object in `text`, or null when there is none. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
