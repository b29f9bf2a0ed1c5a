import { createHash } from 'node:crypto';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { Random } from '../../native-bench/sim/random.ts';
import { MANIFEST_TYPE } from './registry.ts';

/** A blob of the simulated registry, with its true bytes. */
export interface Blob {
  digest: string;
  bytes: Uint8Array;
}

/** In shards as small as hooks.ts makes them, large blobs cost little, too. */
const SIZES = [
  ...[1, 2, 500, 777, 4_096, 65_535, 65_537, 100_001],
  SHARD_BYTES - 1,
  SHARD_BYTES,
  SHARD_BYTES + 1,
  SHARD_BYTES + 44_000,
  2 * SHARD_BYTES,
  2 * SHARD_BYTES + 4_097,
  3 * SHARD_BYTES + 66_001,
  5 * SHARD_BYTES - 3,
  9 * SHARD_BYTES + 5,
  20 * SHARD_BYTES,
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

/** A manifest that names `blobs`; the same for all times. */
export function manifestOf(blobs: readonly Blob[], version: number): Blob {
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: `sha256:${'0'.repeat(64)}`, size: version },
    layers: blobs.map(({ digest, bytes }) => ({
      ...{ mediaType: LAYER_TYPE, digest, size: bytes.length },
    })),
  });
  const bytes = Buffer.from(text);
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes };
}

const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';
