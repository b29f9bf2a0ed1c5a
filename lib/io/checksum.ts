import { blake3 } from '@napi-rs/blake-hash';

/** Length of a shard's checksum. */
export const CHECKSUM_BYTES = 32;

/**
 * The checksum of one shard: BLAKE3, 32 bytes. Reads `bytes` in place, views of shared memory
 * included, and blocks its thread for about 0.2 ms per MiB: never call it on a front or on control.
 */
export function checksumOf(bytes: Uint8Array): Buffer {
  // A Buffer over the same memory: the hash takes nothing else, and nothing is copied.
  return blake3(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
