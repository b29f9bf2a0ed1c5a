/** Bounds of lib/io. */

/** Most bytes to gather: what a thread reads at once stays within the L2 cache. */
export const GATHER_BYTES_MAX = 256 * 1024;

/** Below this, gathering saves too few wake-ups to be worth its system calls: two full segments. */
export const GATHER_BYTES_MIN = 4 * 1024;

/** A flow's rate is measured over at least this time. */
export const GATHER_RATE_WINDOW_MS = 50;

/**
 * Time that the bytes which one sender has under way may wait before a receiver's line, and the
 * bounds of what it has under way (receive-window.ts). Below the least, the senders of a short line
 * would wait for each acknowledgement; above the most, the kernel's own bound is reached first.
 */
export const WINDOW_QUEUE_MS = 25;
export const WINDOW_BYTES_MIN = 64 * 1024;
export const WINDOW_BYTES_MAX = 2 * 1024 * 1024;

/** Hosts to which the shortest round trip is remembered, and for how long. */
export const ROUND_TRIP_HOSTS_MAX = 4_096;
export const ROUND_TRIP_KEPT_MS = 10 * 60_000;

/** More than any kernel lets a socket hold: there is no bound any more. */
export const WINDOW_BYTES_FREE = 1024 * 1024 * 1024;

/** Most plaintext of one TLS record (RFC 8446, 5.1): what may be read but not yet decrypted. */
export const TLS_RECORD_BYTES_MAX = 16 * 1024;

/**
 * Rings of a doorbell that are closer together than this are heard together: a shard arrives in
 * dozens of pieces, and a wake-up costs tens of microseconds on both sides.
 */
export const DOORBELL_PAUSE_MS = 1;

/**
 * Entries of the header table: several per slot, since images have more small layers than large
 * ones, and a minimum for small caches. At 128 bytes each this is 0.03 % of the capacity.
 */
export const CACHE_ENTRIES_PER_SLOT = 4;
export const CACHE_ENTRIES_BASE = 4096;

/**
 * Space that the cache directory takes besides slab and table, reserved within the capacity: the
 * directory itself and the filesystem's map of the slab (ext4: 12 bytes per extent, in the worst
 * case one extent per slot).
 */
export const CACHE_DIR_OVERHEAD_BYTES = 64 * 1024;
export const CACHE_SLOT_OVERHEAD_BYTES = 16;

/**
 * Share of the free space that the cache takes on a disk smaller than its capacity: the kubelet
 * evicts pods when a disk is full.
 */
export const CACHE_DISK_SHARE_MAX = 0.8;

/** Deadline for `flock` and `fallocate`: a filesystem that hangs must not block the start. */
export const CACHE_PROGRAM_TIMEOUT_MS = 10_000;
