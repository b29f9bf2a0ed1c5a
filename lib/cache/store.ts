import type { Clock } from '../clock.ts';
import type { CacheLog, SlabIo } from './slab-io.ts';

/** What the store knows of one shard. */
export interface StoredShard {
  lengthBytes: number;
  /** The blob's size. */
  totalBytes: number;
  /** BLAKE3 of the shard, 32 bytes; do not change it. */
  checksum: Uint8Array;
}

export interface CacheStoreOptions {
  /** From openSlabFiles. */
  slotCount: number;
  entryCount: number;
  table: Uint8Array;
  io: SlabIo;
  clock: Clock;
  log: CacheLog;
  /** `first`: a shard is checked at its first read after a restart; `always`: at every read from disk. Default `first`. */
  checkReads?: 'first' | 'always';
}

export interface CacheStats {
  /** The slab's size: what the cache may hold. */
  allocatedBytes: number;
  /** Bytes of the slab in use, whole extents. */
  usedBytes: number;
  entries: number;
  blobs: number;
  evictions: number;
  /** Shards read from disk that did not fit their checksum. */
  corrupt: number;
  /** Failed reads and writes. */
  errors: number;
  suspended: boolean;
}

/**
 * The disk cache as control sees it: which shards are on disk, and their way to and from an arena slot. It decides
 * (lib/cache) and has the disk done by the SlabIo it is given. One thread owns it; every method but `load`, `save`
 * and `close` is synchronous. No method rejects: a disk that fails makes a `miss` or a `skipped`.
 */
export interface CacheStore {
  /** What is known of a stored shard; undefined when it is not stored (or the store is suspended for reads). */
  has(key: string, shard: number): StoredShard | undefined;
  /** The size of a blob of which at least one shard is stored. */
  totalOf(key: string): number | undefined;
  /** Reads a shard into `slot`, which the caller has begun (`Arena.begin`). `miss`: not stored, corrupt or the disk failed. */
  load(key: string, shard: number, slot: number): Promise<'ok' | 'miss'>;
  /** Writes a complete shard from `slot`. `skipped`: no room, the slot has moved on, or the disk fails. */
  save(key: string, shard: number, slot: number, generation: number, stored: StoredShard): Promise<'stored' | 'skipped'>;
  /** Counts a use of a shard that was served from memory, so that eviction knows it is wanted. */
  touch(key: string, shard: number): void;
  /** Forgets a blob, for good: its shards do not come back after a restart. */
  drop(key: string): void;
  stats(): CacheStats;
  /** Resolves when nothing is in flight any more; later calls are misses. */
  close(): Promise<void>;
}

export declare const openCacheStore: (options: CacheStoreOptions) => CacheStore;
