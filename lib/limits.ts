/**
 * Every bound of the program, named, with its unit last and the reason for its value.
 * What an operator may change is in the config; what stands here is a property of the design.
 */

/** The unit of caching and of peer transfer (CONTRACT 1). */
export const SHARD_BYTES = 2 * 1024 * 1024;

/** Page size of the disk and of O_DIRECT: offsets and lengths of direct I/O are multiples of it. */
export const PAGE_BYTES = 4096;

/** A request head may be this long: signed URLs and bearer tokens pass 4 KB. */
export const REQUEST_HEAD_BYTES_MAX = 64 * 1024;

/** Hot bytes handed to one socket write: measured best for `tryEnd` (docs/ARCHITECTURE.md). */
export const WRITE_STEP_BYTES = 64 * 1024;

/** A client gets an answer or an error within this time, whatever the origin does. */
export const ANSWER_DEADLINE_MS = 30_000;

/** Connecting to a node of the same cluster takes well under this, or it is as good as down. */
export const PEER_CONNECT_TIMEOUT_MS = 500;

/** A peer that sends nothing for this long is left, mid-shard if need be. */
export const PEER_SILENCE_MS = 2_000;

/** Connecting to the origin, TLS included. */
export const ORIGIN_CONNECT_TIMEOUT_MS = 5_000;

/** From the origin's accept to its first header byte. */
export const ORIGIN_HEAD_TIMEOUT_MS = 20_000;

/** Between two body bytes of the origin. */
export const ORIGIN_SILENCE_MS = 10_000;

/** In-flight answers finish within this time after SIGTERM. */
export const DRAIN_DEADLINE_MS = 30_000;

/** Manifests are at most 4 MiB by the distribution-spec; tag lists and referrers may be longer. */
export const RELAY_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Redirects followed for one origin request. */
export const ORIGIN_REDIRECTS_MAX = 5;

/** A response head between nodes is a few hundred bytes, a redirect's body a list of addresses; also what one read may copy. */
export const PEER_HEAD_BYTES_MAX = 8 * 1024;

/** Connections kept open to one node between exchanges, per transfer thread. */
export const PEER_IDLE_SOCKETS_MAX = 4;

/** uWebSockets.js closes idle connections after 10 s; ours are given up before. */
export const PEER_IDLE_SOCKET_MS = 8_000;

/** How often a task looks whether control still wants it, so that a silent connection is left promptly. */
export const CANCEL_POLL_MS = 20;

/** A config file is a page of text; what is longer is some other file. */
export const CONFIG_FILE_BYTES_MAX = 1024 * 1024;

/** Below this the slab has too few slots for the shards in flight plus a working set. */
export const CONFIG_CAPACITY_BYTES_MIN = 16 * 1024 * 1024;

/** 64 TiB: far above any node's disk, low enough that every offset is an exact number. */
export const CONFIG_CAPACITY_BYTES_MAX = 64 * 1024 ** 4;

/** Four shards: one arriving, one being read, one being written, one spare. */
export const CONFIG_ARENA_BYTES_MIN = 8 * 1024 * 1024;

/** WebAssembly.Memory ends at 4 GiB. */
export const CONFIG_ARENA_BYTES_MAX = 4 * 1024 ** 3;

/** A shorter cluster secret could be guessed. */
export const CLUSTER_SECRET_BYTES_MIN = 16;
