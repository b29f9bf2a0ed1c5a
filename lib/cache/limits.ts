/** Bounds of lib/cache: each is named, has its unit last, and gives the reason for its value. */
import { PAGE_BYTES } from '../limits.ts';

/** The smallest cell of the slab: a page, the unit of direct I/O, so a 2 KB config costs 4 KiB. */
export const CACHE_CELL_BYTES_MIN = PAGE_BYTES;

/**
 * Victims tried for a whole slot before the emptiest shared slot is cleared: small blobs must not
 * all go for one shard.
 */
export const CACHE_VICTIMS_MAX = 64;

/**
 * Disk jobs under way at once. Depth 2 reaches the disk's ceiling with 2 MiB shards
 * (docs/CACHE.md), and one of libuv's four threads stays free for headers and name lookups when the
 * disk hangs.
 */
export const CACHE_IO_DEPTH = 3;

/**
 * A disk that failed is tried again after this time: long enough not to fill the log, short against
 * an operator's repair.
 */
export const CACHE_RETRY_MS = 30_000;

/**
 * A disk that takes this long for 2 MiB counts as failed; waiting operations continue without it.
 */
export const CACHE_STALL_MS = 10_000;

/** One bad sector is one lost shard; so many failed reads in a row are a failed disk. */
export const CACHE_READ_FAILURES_MAX = 3;

/**
 * Shards that may wait for the disk while writes bypass the page cache. Beyond it the disk is
 * slower
 * than the network, and the page cache takes bursts that would otherwise leave the arena unsaved.
 */
export const CACHE_DIRECT_QUEUE_MAX = 8;
