/** Bounds of lib/config. */

/** Below this the slab has too few slots for the shards in flight plus a working set. */
export const CONFIG_CAPACITY_BYTES_MIN = 16 * 1024 * 1024;

/** 64 TiB: far above any node's disk, low enough that every offset is an exact float64. */
export const CONFIG_CAPACITY_BYTES_MAX = 64 * 1024 ** 4;

/** Four shards: one arriving, one being read, one being written, one spare. */
export const CONFIG_ARENA_BYTES_MIN = 8 * 1024 * 1024;

/** WebAssembly.Memory ends at 4 GiB. */
export const CONFIG_ARENA_BYTES_MAX = 4 * 1024 ** 3;

/** A shorter cluster secret could be guessed. */
export const CLUSTER_SECRET_BYTES_MIN = 16;

/**
 * How long files must stay as they are before they are read again: a program that writes several,
 * or one in pieces, has finished by then.
 */
export const FILE_WATCH_SETTLE_MS = 300;

/** Mirrors of one registry: each that is silent costs a request half of the time that is left. */
export const UPSTREAMS_MAX = 8;
