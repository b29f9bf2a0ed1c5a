import { createHash } from 'node:crypto';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { Random } from '../../native-bench/sim/random.ts';

/** A blob of the simulated registry, with its true bytes. */
export interface Blob {
  digest: string;
  bytes: Uint8Array;
}

/** Small blobs cost little time to simulate, so there are more of them. */
const SIZES = [
  ...[1, 2, 500, 777, 4_096, 65_535, 65_537, 300_000, 900_001],
  SHARD_BYTES - 1,
  SHARD_BYTES,
  SHARD_BYTES + 1,
  SHARD_BYTES + 700_000,
  2 * SHARD_BYTES,
  2 * SHARD_BYTES + 4_097,
  3 * SHARD_BYTES + 1_000_001,
  5 * SHARD_BYTES - 3,
];

let made: readonly Blob[] | null = null;

/** The blobs that simulations take theirs from; made once a process, as their digests cost time. */
export function library(): readonly Blob[] {
  return (made ??= SIZES.map((size, index) => blobOf(size, index + 1)));
}

function blobOf(size: number, seed: number): Blob {
  const words = new Uint32Array(Math.ceil(size / 4));
  const random = new Random(seed);
  const block = Uint32Array.from({ length: 4096 }, () => random.below(0x1_0000_0000));
  // No page of 16 KiB is equal to another, of this blob or of another one.
  for (let at = 0; at < words.length; at++)
    words[at] = block[at & 4095]! ^ (seed << 20) ^ (at >> 12);
  const bytes = new Uint8Array(words.buffer, 0, size);
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes };
}
