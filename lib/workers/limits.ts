/** Bounds of lib/workers: each is named, has its unit last, and gives the reason for its value. */

/**
 * A connection within a cluster takes well under PEER_CONNECT_MS. It is tried PEER_CONNECT_TRIES
 * times before the node counts as down: one packet in a hundred is lost on a bad line, and the
 * kernel repeats a lost one only after a second. A packet also waits for what the line has queued,
 * so a try takes as long as half a shard where that is longer, up to PEER_CONNECT_MS_MAX.
 */
export const PEER_CONNECT_MS = 250;
export const PEER_CONNECT_TRIES = 2;
export const PEER_CONNECT_MS_MAX = 2_500;

/**
 * A peer must send this much in PEER_SILENCE_MS (4 KiB/s): less is a drip. A line of 10 Mbit/s that
 * sends 168 shards at once still gives each of them 7 KB/s.
 */
export const PEER_PROGRESS_BYTES = 8 * 1024;

/**
 * A node that answers "busy" is asked again this long after it was asked, or later. An honest node
 * holds a request for longer before it answers with a shorter pause; others must not cause a storm.
 */
export const BUSY_PACE_MS = 50;

/**
 * Connections kept open to one node between exchanges, per thread that reads: a whole window of
 * shards may come from one node.
 */
export const PEER_IDLE_SOCKETS_MAX = 16;

/** uWebSockets.js closes idle connections after 10 s; ours are closed before that. */
export const PEER_IDLE_SOCKET_MS = 8_000;

/**
 * A thread's JavaScript heap, in MiB; it holds no payload. A small young generation keeps resident
 * memory down, at no measurable cost.
 */
export const THREAD_HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 };

/**
 * A slice that begins at least this far into its shard is read from the origin first, by its own
 * request; the part before it follows.
 */
export const SLICE_FIRST_BYTES_MIN = 256 * 1024;
