import { isNodeName, KEY, parseObject } from './fields.ts';
import { HOLDERS_MAX, OFFERS_PER_MESSAGE_MAX } from './limits.ts';

/**
 * Which nodes have a blob whole, told to the blob's keepers (lib/swarm/offer-book.ts) and asked of
 * them:
 *
 *   GET /rpc/offers, with {node, blobs: [<64 hex digits of a sha256>, ...]} sealed in the header
 *     `shoal-words`     200 {}
 *   GET /rpc/holders/<key>?node=A     200 {nodes: [B, ...]}
 */
export const OFFERS_PATH = '/rpc/offers';

export interface OfferedBlobs {
  node: string;
  /** `sha256:<hex>` each. */
  keys: string[];
}

export interface HoldersQuery {
  key: string;
  /** The asker, which is not in the answer. */
  node: string;
}

const PREFIX = 'sha256:';
const HEX = /^[0-9a-f]{64}$/;
const HOLDERS_PATH = new RegExp(`^/rpc/holders/(${KEY})$`);

/** `keys`: of digests, at most OFFERS_PER_MESSAGE_MAX. */
export function formatOffers({ node, keys }: OfferedBlobs): string {
  return JSON.stringify({ node, blobs: keys.map((key) => key.slice(PREFIX.length)) });
}

/** The offers in the text of a header, or null. */
export function parseOffers(text: string): OfferedBlobs | null {
  const { node, blobs } = parseObject(text) ?? {};
  if (
    typeof node !== 'string' ||
    !isNodeName(node) ||
    !Array.isArray(blobs) ||
    blobs.length > OFFERS_PER_MESSAGE_MAX ||
    !blobs.every((hex) => typeof hex === 'string' && HEX.test(hex))
  )
    return null;
  return { node, keys: blobs.map((hex) => PREFIX + hex) };
}

export function holdersPath({ key, node }: HoldersQuery): string {
  return `/rpc/holders/${key}?${new URLSearchParams({ node })}`;
}

/** The request in a path and query, or null. */
export function parseHolders(path: string, query: string): HoldersQuery | null {
  const key = HOLDERS_PATH.exec(path)?.[1];
  const node = new URLSearchParams(query).get('node') ?? '';
  return key === undefined || !isNodeName(node) ? null : { key, node };
}

/** The nodes that the body of a 200 names, or null when it is invalid. */
export function parseHolderNames(text: string): string[] | null {
  const { nodes } = parseObject(text) ?? {};
  return Array.isArray(nodes) &&
    nodes.length <= HOLDERS_MAX &&
    nodes.every((node) => typeof node === 'string' && isNodeName(node))
    ? nodes
    : null;
}
