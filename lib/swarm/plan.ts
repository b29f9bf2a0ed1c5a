import { SHARD_BYTES } from '../limits.ts';

/** The part of one shard that a range needs; offsets are within the shard, `toBytes` exclusive. */
export interface Slice {
  shard: number;
  fromBytes: number;
  toBytes: number;
}

/** Shards of a blob of `totalBytes`; an empty blob has one, empty, so that it can be asked for. */
export function shardCount(totalBytes: number): number {
  return Math.max(1, Math.ceil(totalBytes / SHARD_BYTES));
}

/** Length in bytes of shard `index` of a blob of `totalBytes`; 0 past its end. */
export function shardLengthBytes(index: number, totalBytes: number): number {
  return Math.max(0, Math.min(SHARD_BYTES, totalBytes - index * SHARD_BYTES));
}

/** The shard that holds byte `offsetBytes`. */
export function shardAt(offsetBytes: number): number {
  return Math.floor(offsetBytes / SHARD_BYTES);
}

/** The slices of [fromBytes, toBytes), in order; none for an empty range. */
export function slices(fromBytes: number, toBytes: number): Slice[] {
  const plan: Slice[] = [];
  for (let at = fromBytes; at < toBytes;) {
    const shard = shardAt(at);
    const startBytes = shard * SHARD_BYTES;
    const endBytes = Math.min(toBytes, startBytes + SHARD_BYTES);
    plan.push({ shard, fromBytes: at - startBytes, toBytes: endBytes - startBytes });
    at = endBytes;
  }
  return plan;
}
