import { checksumOf } from '../../lib/io/checksum.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

/** Bytes that no other shard has: 32 of a hash, over and over. */
export function fillPattern(target: Uint8Array, blob: string, shard: number): void {
  const seed = checksumOf(Buffer.from(`${blob} ${shard}`));
  for (let at = 0; at < target.length; at += seed.length)
    target.set(seed.subarray(0, Math.min(seed.length, target.length - at)), at);
}

/** Small blobs, blobs of a shard and a bit, and one of several shards, in turn. */
export function sizeOfBlob(number: number): number {
  return [700, 50_000, SHARD_BYTES + 30_000, 9000, 3 * SHARD_BYTES, 600_000][number % 6]!;
}
