/** Bounds of lib/workers: each is named, has its unit last, and gives the reason for its value. */

/** Connecting to a node of the same cluster takes well under this, or it is as good as down. */
export const PEER_CONNECT_TIMEOUT_MS = 500;

/**
 * Connections kept open to one node between exchanges, per transfer thread: a whole window of
 * shards may come from one node.
 */
export const PEER_IDLE_SOCKETS_MAX = 16;

/** uWebSockets.js closes idle connections after 10 s; ours are given up before. */
export const PEER_IDLE_SOCKET_MS = 8_000;

/**
 * A thread's JavaScript heap, in MiB: payload never lies there. A small young generation keeps
 * resident memory down, at no cost that could be measured.
 */
export const THREAD_HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 };

/**
 * A slice that begins at least this far into its shard is read from the origin before what lies
 * below it, by a request of its own.
 */
export const SLICE_FIRST_BYTES_MIN = 256 * 1024;
