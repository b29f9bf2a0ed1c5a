import { SHARD_BYTES } from './limits.ts';

/** Length of a shard's checksum, BLAKE3. */
export const CHECKSUM_BYTES = 32;

/**
 * Shards of a blob of `totalBytes`. An empty blob has one empty shard, so that it can be requested.
 */
export function shardCount(totalBytes: number): number {
  return Math.max(1, Math.ceil(totalBytes / SHARD_BYTES));
}

/** The length of shard `shard` of a blob of `totalBytes`; 0 or less past its end. */
export function shardLength(totalBytes: number, shard: number): number {
  return Math.min(SHARD_BYTES, totalBytes - shard * SHARD_BYTES);
}
