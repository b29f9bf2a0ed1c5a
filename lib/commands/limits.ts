/** Bounds of lib/commands: each is named, has its unit last, and gives the reason for its value. */
import { PULL_CONCURRENCY } from '../limits.ts';

/** Beyond its own drain deadline a node gets this long to come to an end before it is ended. */
export const DRAIN_OVERTIME_MS = 5_000;

/** Threads that serve the ports: more than any node has cores for. */
export const FRONT_THREADS_MAX = 64;

/** Agents of one `shoal up`: each is a process on this machine. */
export const UP_NODES_MAX = 64;

/**
 * A whole pull of `shoal up`, over all nodes: long enough for 20 GB at 12 MB/s, and an end to
 * everything.
 */
export const UP_PULL_DEADLINE_MS = 30 * 60_000;

/**
 * Blobs that `shoal preheat` reads at once: as many as a runtime, so that it never takes a node
 * from those who pull.
 */
export const PREHEAT_CONCURRENCY = PULL_CONCURRENCY;

/** Nodes that `shoal preheat --nodes` has at work at once. */
export const PREHEAT_NODES_AT_ONCE = 64;

/**
 * A node that has not one shard more after this long has failed; it may be small, or slow, but not
 * that slow.
 */
export const PREHEAT_NODE_PATIENCE_MS = 60_000;

/**
 * So far back a trace reaches unless it is told otherwise: a start takes less, overlaybd's
 * background download begins later.
 */
export const TRACE_SECONDS = 300;

/** A trace of READ_TRACE_SHARDS_MAX shards is below 2 MB; what is longer is some other file. */
export const TRACE_FILE_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Shards of a trace read at once: enough to hide a round trip to the registry, in an order that
 * still holds.
 */
export const PREHEAT_TRACE_READS = 8;

/**
 * Attempts of `shoal preheat` on one layer that bring not one byte; any byte starts the count anew.
 */
export const PREHEAT_FRUITLESS_MAX = 5;

/**
 * First and longest pause before a layer is asked for again: a node that restarts is back within a
 * second or two.
 */
export const PREHEAT_RETRY_MS_MIN = 250;
export const PREHEAT_RETRY_MS_MAX = 5_000;

/** Pause before `shoal containerd watch` tries again to remove the startup taint of its node. */
export const TAINT_RETRY_MS = 5_000;

/** Nodes of `shoal estimate`: the simulator has been run with as many. */
export const ESTIMATE_NODES_MAX = 10_000;

/** Layers of an image, as many as a union file system mounts. */
export const ESTIMATE_LAYERS_MAX = 127;

/** A credential helper may ask a keychain, and that its user. */
export const HELPER_TIMEOUT_MS = 30_000;

/** What a credential helper may say: a secret is some kilobytes. */
export const HELPER_OUTPUT_BYTES_MAX = 64 * 1024;

/**
 * The line of the registry of `shoal up`: all nodes' direct pulls take so long, long enough to see
 * the difference, short enough to wait for; and its least rate.
 */
export const UP_DIRECT_SECONDS = 12;
export const UP_LINE_BYTES_MIN = 25_000_000;

/** Columns of a screen below which the table of `shoal up` becomes a list. */
export const UP_TABLE_COLUMNS = 80;
