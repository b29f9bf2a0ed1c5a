/** Bounds of lib/io: each is named, has its unit last, and gives the reason for its value. */

/**
 * Time whose bytes the kernel gathers before it wakes a receiving thread. It delays each hop of a
 * tree by as much.
 */
export const GATHER_MS = 40;

/** Most bytes to gather: what a thread reads at once stays within the L2 cache. */
export const GATHER_BYTES_MAX = 256 * 1024;

/** Below this, gathering saves too few wake-ups to be worth its system calls: two full segments. */
export const GATHER_BYTES_MIN = 4 * 1024;

/** A flow's rate is measured over at least this time. */
export const GATHER_RATE_WINDOW_MS = 20;

/** Most plaintext of one TLS record (RFC 8446, 5.1): what may be read but not yet decrypted. */
export const TLS_RECORD_BYTES_MAX = 16 * 1024;

/**
 * After a front was woken it looks again no sooner: a shard arrives in dozens of pieces, and a
 * wake-up costs tens of microseconds on both sides.
 */
export const DOORBELL_PAUSE_MS = 1;

/**
 * Entries of the header table: a few per slot (images hold more small layers than large ones, a
 * full slot needs one) and a floor for small caches. At 128 bytes each, 0.03 % of the capacity.
 */
export const CACHE_ENTRIES_PER_SLOT = 4;
export const CACHE_ENTRIES_BASE = 4096;

/**
 * What the cache's directory takes besides slab and table, and is kept free of the capacity for it:
 * the directory itself, and the filesystem's own map of the slab (ext4: 12 bytes per piece, one
 * piece per slot if badly scattered).
 */
export const CACHE_DIR_OVERHEAD_BYTES = 64 * 1024;
export const CACHE_SLOT_OVERHEAD_BYTES = 16;

/**
 * On a disk with less room than its capacity the cache leaves a fifth to others: the kubelet evicts
 * pods from a full one.
 */
export const CACHE_DISK_SHARE_MAX = 0.8;

/** `flock` and `fallocate` answer at once; a filesystem that hangs must not hang the start. */
export const CACHE_PROGRAM_TIMEOUT_MS = 10_000;
