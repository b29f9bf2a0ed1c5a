/**
 * Bounds of lib/runtime-store: each is named, has its unit last, and gives the reason for its
 * value.
 */

/** Blobs of the content store that are known at once; a node holds a few thousand layers. */
export const RUNTIME_BLOBS_MAX = 16_384;

/** Memory for the checksums of their shards, 32 bytes each: enough for 4 TB of layers. */
export const RUNTIME_CHECKSUMS_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Ingests that are looked at for the one that receives a blob. containerd has one per layer under
 * way, and leaves those of aborted pulls behind for a day.
 */
export const RUNTIME_INGESTS_MAX = 1_024;

/** A blob that the store did not have is looked up again after this: shards come in bursts. */
export const RUNTIME_MISS_MS = 1_000;

/**
 * How often an ingest is looked at while shards wait for it to be written. A poll costs one `stat`
 * per layer; at 10 Gbit/s 31 MB arrive between two polls, 15 slots of memory.
 */
export const RUNTIME_POLL_MS = 25;

/** How often it is looked at while nothing waits, to see it committed or removed. */
export const RUNTIME_WATCH_MS = 2_000;

/**
 * Interval at which the list of all blobs is read again: it finds blobs that were pulled without
 * this node.
 */
export const RUNTIME_SCAN_MS = 60_000;

/**
 * A shard whose ingest has not grown for this long is written to the cache: its client has probably
 * gone. Long against a registry that is asked again, short against the time a crash would cost.
 */
export const RUNTIME_PATIENCE_MS = 10_000;

/**
 * The same while shards wait for memory: long against a hiccup of the runtime's disk, short against
 * ARENA_WAIT_DEADLINE_MS.
 */
export const RUNTIME_CROWDED_PATIENCE_MS = 1_000;

/**
 * Shards that wait for an ingest may fill this share of memory; those beyond are written. Half is
 * filled by the read-ahead of a runtime that is slower than the network, some more is on its way
 * through sockets and the runtime.
 */
export const RUNTIME_MEMORY_SHARE_MAX = 0.75;

/**
 * A layer that disappears within this time after its commit was discarded by the runtime
 * (`discard_unpacked_layers`), not removed with its image: unpacking takes seconds to a minute.
 */
export const RUNTIME_DISCARD_MS = 120_000;

/** Layers in a row that have to disappear before the store counts as one that drops layers. */
export const RUNTIME_DISCARDS_MIN = 2;

/** Reads of the store under way at once, as for the cache's own disk. */
export const RUNTIME_IO_DEPTH = 3;

/** Blobs that wait to be verified; those beyond are found again by a later scan. */
export const RUNTIME_UNVERIFIED_MAX = 16_384;
