import { createHash } from 'node:crypto';

/** What a blob is filed under: one kind byte and 32 bytes, however long its key is. */
const BLOB_ID_BYTES = 32;

/**
 * `digest`: the bytes of a sha256 digest themselves. `hashed`: sha256 of any other key (a URL
 * without its query).
 */
const KeyKind = { digest: 1, hashed: 2 } as const;
type KeyKind = (typeof KeyKind)[keyof typeof KeyKind];

const DIGEST_KEY = /^sha256:([0-9a-f]{64})$/;

/** The id of a blob's key: the kind as one digit, then 64 hex digits. */
export function blobIdOf(key: string): string {
  const digest = DIGEST_KEY.exec(key)?.[1];
  if (digest !== undefined) return `${KeyKind.digest}${digest}`;
  return `${KeyKind.hashed}${createHash('sha256').update(key).digest('hex')}`;
}

/** The kind of an id, and its 32 bytes written to `target` at `offset`. */
export function writeBlobId(id: string, target: Buffer, offset: number): KeyKind {
  target.write(id.slice(1), offset, BLOB_ID_BYTES, 'hex');
  return Number(id[0]) as KeyKind;
}

/**
 * The id whose kind is `kind` and whose bytes lie in `source` at `offset`; undefined when there is
 * no such kind.
 */
export function readBlobId(kind: number, source: Buffer, offset: number): string | undefined {
  if (kind !== KeyKind.digest && kind !== KeyKind.hashed) return undefined;
  return `${kind}${source.toString('hex', offset, offset + BLOB_ID_BYTES)}`;
}

/**
 * 32 bits that tell a shard from most others; the id is a hash already, so mixing in the shard is
 * enough.
 */
export function shardFingerprint(id: string, shard: number): number {
  return (Number.parseInt(id.slice(1, 9), 16) ^ Math.imul(shard + 1, 0x9e37_79b1)) >>> 0;
}
