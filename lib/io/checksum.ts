import { blake3 } from '@napi-rs/blake-hash';

/**
 * The checksum of one shard: BLAKE3, CHECKSUM_BYTES (lib/shard.ts) long. Reads `bytes` in place,
 * also in shared memory. Blocks its thread for about 0.2 ms per MiB: never call it on a front or
 * control thread.
 */
export function checksumOf(bytes: Uint8Array): Buffer {
  // A Buffer over the same memory: the library accepts nothing else, and nothing is copied.
  return blake3(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
