/**
 * Bounds that several rooms share, named, with the unit last and the reason for each value.
 * A room's own bounds are in its limits.ts. What an operator may change is in the config.
 */

/** The unit of caching and of peer transfer (docs/SPEC.md 1). */
export const SHARD_BYTES = 2 * 1024 * 1024;

/**
 * Time whose bytes the kernel gathers before it wakes a receiving thread, at most. It delays each
 * hop by as much.
 */
export const GATHER_MS = 40;

/** Page size of the disk and of O_DIRECT: offsets and lengths of direct I/O are multiples of it. */
export const PAGE_BYTES = 4096;

/** A request head may be this long: signed URLs and bearer tokens pass 4 KB. */
export const REQUEST_HEAD_BYTES_MAX = 64 * 1024;

/** A client gets an answer or an error within this time, whatever the origin does. */
const ANSWER_DEADLINE_MS = 30_000;

/** A peer that sends nothing for this long is left, mid-shard if need be. */
export const PEER_SILENCE_MS = 2_000;

/** Connecting to the origin, TLS included. */
export const ORIGIN_CONNECT_TIMEOUT_MS = 5_000;

/** In-flight answers finish within this time after SIGTERM. */
export const DRAIN_DEADLINE_MS = 30_000;

/**
 * A response head between nodes is a few hundred bytes, of an object store one or two KB, a
 * redirect's body a list of addresses; also what one read may copy.
 */
export const CONNECTION_HEAD_BYTES_MAX = 8 * 1024;

/**
 * Interval at which a thread checks its exchanges that receive nothing: for cancellation, silence,
 * and bytes below the low-water mark. An exchange that receives checks with every read.
 */
export const LOOK_MS = 50;

/** A config file is a page of text; what is longer is some other file. */
export const CONFIG_FILE_BYTES_MAX = 1024 * 1024;

/**
 * Peers, blobs in flight and tree edges in one status answer: what a page can show and a phone can
 * load.
 */
export const STATUS_PEERS_MAX = 1_000;
export const STATUS_BLOBS_MAX = 200;
export const STATUS_TREE_EDGES_MAX = 5_000;

/**
 * An asked node that has no byte yet answers "busy, still at it" after this long, so that silence
 * always means frozen.
 */
export const PEER_HOLD_MS = 1_000;

/** Blobs a client of `shoal up` pulls at once: the default of container runtimes. */
export const PULL_CONCURRENCY = 3;

/**
 * A pull client waits this long for a head: a node answers or refuses within ANSWER_DEADLINE_MS.
 */
export const PULL_HEAD_TIMEOUT_MS = ANSWER_DEADLINE_MS + 10_000;

/** A body that brings nothing for this long is broken off by a pull client. */
export const PULL_SILENCE_MS = 30_000;

/** A node tells its counters at once or not at all. */
export const STATUS_TIMEOUT_MS = 5_000;

/**
 * Threads that receive, check and write. Two keep a 10 Gbit/s link busy (0.5 CPU-s per GB received,
 * 0.15 for BLAKE3).
 */
export const TRANSFER_THREADS = 2;

/**
 * Jobs one transfer thread has under way at once; they wait for sockets and disk most of their
 * time.
 */
export const POOL_TASKS_PER_THREAD = 128;

// --- swarm: chosen with the simulator, figures in docs/SWARM.md ---

/** Everything is listed anew this often, in case a watch lost an event. */
export const KUBE_RESYNC_MS = 10 * 60_000;

/** A service account token is read again this often; kubelet renews it well before its end. */
export const KUBE_TOKEN_TTL_MS = 60_000;

/**
 * Requests to one registry or object store under way at once from one node: with a shard each
 * enough to hide 50 ms of latency at 5 Gbit/s.
 */
export const ORIGIN_REQUESTS_MAX = 16;

/**
 * Shards brought ahead of a run of small reads (lib/swarm/pattern.ts), and of all blobs together,
 * as a share of memory's slots.
 */
export const AHEAD_SMALL_READS_SHARDS_MAX = 16;
export const AHEAD_SMALL_READS_SLOT_SHARE = 1 / 4;

/**
 * Shards that a node remembers small reads to have come to, for traces: 32 GB of reads, ~200 bytes
 * each.
 */
export const READ_TRACE_SHARDS_MAX = 16_384;

/** So far back a trace may reach. */
export const TRACE_SECONDS_MAX = 86_400;

/**
 * Shards of the trees in which it is a leaf that a sequential reader waits for at once
 * (docs/SWARM.md).
 */
export const READ_WINDOW_SHARDS = 24;

/** The bytes that a test of a line ends with, in all; each sender would send as many. */
export const LINE_TEST_BYTES = 8 * 1024 * 1024;
