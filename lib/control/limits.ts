/** Bounds of lib/control: each is named, has its unit last, and gives the reason for its value. */

/**
 * A shard brought into memory is spared from eviction this long, unless it is read before:
 * read-ahead must not be lost.
 */
export const FRESH_SLOT_MS = 1_500;

/**
 * A shard waits this long for a slot of memory; then the client gets an error that it may retry.
 */
export const ARENA_WAIT_DEADLINE_MS = 20_000;

/**
 * A shard waits so long for a slot because the disk is slow, before others' shards that wait for
 * the disk are given up for it, unstored: a pull does not become as slow as the disk. Long against
 * a disk's hiccup and a write of 2 MiB, short against a client's patience.
 */
export const SAVE_PATIENCE_MS = 500;

/**
 * Shards that a blob's digest has yet to read are spared so far ahead of it: half a second of
 * sha256.
 */
export const DIGEST_AHEAD_SHARDS = 256;

/** Shards hashed in one job of the digest's thread: other blobs wait for them, 10 ms or so. */
export const DIGEST_JOB_SHARDS_MAX = 8;

/**
 * A blob whose hash is on a transfer thread that becomes busy is hashed again on the digest thread
 * if no more than this has been hashed: 40 ms or so.
 */
export const DIGEST_MOVE_BYTES_MAX = 64 * 1024 * 1024;

/** Shards of a blob that the first job of a node waits for, if the blob has so many. */
export const DIGEST_FIRST_SHARDS = 4;

/**
 * A digest without progress for this long waits for a shard that no client reads: the shard is read
 * back later.
 */
export const DIGEST_PATIENCE_MS = 2_000;

/** A blob whose hash was lost with its thread, or is to move, is hashed again so many times. */
export const DIGEST_STARTS_OVER_MAX = 2;

/** Shards waiting for a slot at once; each is a request or a read-ahead, so more means overload. */
export const ARENA_WAITERS_MAX = 4_096;

/** The same of one upstream and client, or of the disk. */
export const ARENA_SHARE_WAITERS_MAX = 1_024;

/** Blobs whose size and origins are remembered; about 1 KB each. */
export const BLOB_FACTS_MAX = 16_384;

/**
 * And of memory for them, as URLs and credentials can be as long as a request's head; clients name
 * them before any right is checked.
 */
export const BLOB_FACTS_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Blobs whose digest is followed at once, shard by shard; a sha256 state each.
 */
export const BLOB_DIGESTS_MAX = 256;

/**
 * A front answers the same request again without asking control for at most this long; drops of a
 * right are seen within it.
 */
export const GRANT_MS_MAX = 60_000;

/** A front thread listens within this time after its start, on the slowest machine. */
export const FRONT_START_TIMEOUT_MS = 20_000;

/**
 * A job whose thread ended is begun again for this long after it was first asked for: as long as a
 * fetch may stand still (FETCH_PATIENCE_MS of lib/swarm/limits.ts).
 */
export const THREAD_PATIENCE_MS = 25_000;

/** A thread that could not be started is tried again this much later. */
export const THREAD_RESTART_MS = 1_000;

/**
 * Interval at which the swarm's core is called while no fetch is active: it only removes old
 * entries.
 */
export const SWARM_IDLE_TICK_MS = 1_000;

/** A node that got "busy" returns at once; a fetch on its behalf is not given up before this. */
export const PEER_RETURN_MS = 2_500;

/**
 * A shard whose reader has come to the end of a small read is brought to its own end, for at most
 * this long.
 */
export const FINISH_SHARD_MS = 30_000;

/**
 * Blobs whose small reads are watched for a pattern; about 1 KB each. One that was not read for so
 * long is forgotten.
 */
export const READ_PATTERNS_MAX = 1_024;
export const READ_PATTERN_IDLE_MS = 60_000;

/**
 * Shards on their way for a client that broke off are given up after this long. containerd reads a
 * layer in parallel ranges without an end, each broken off where the next begins: what one leaves
 * another asks for a moment later.
 */
export const ABORT_GRACE_MS = 500;

/**
 * How often a node looks at its proxy's certificate: an operator who replaces it expects it in use
 * within the minute, and it costs two small reads.
 */
export const CERTIFICATE_LOOK_MS = 30_000;

/**
 * Shards that a node brings to itself at once because others tell it to: half of what a runtime's
 * own pull has under way.
 */
export const HOLD_SHARDS_AT_ONCE = 16;

/** A node says within PEER_HOLD_MS how far it is with a blob; this much later it counts as away. */
export const PREHEAT_CALL_DEADLINE_MS = 5_000;

/**
 * Blobs whose senders of each shard are remembered until the digest has been checked; about 200
 * bytes a shard.
 */
export const SUSPICION_BLOBS_MAX = 256;

/**
 * Lines at warn about failed requests and transfers, per second; an outage must not fill the disk
 * of the log.
 */
export const TROUBLE_LINES_PER_SECOND_MAX = 10;

/**
 * Nodes that keep the registry's answers about a repository, the first in its rank: one may leave.
 */
export const WORD_KEEPERS = 2;

/**
 * Nodes asked what a registry that is down said before, the first in the repository's rank, and how
 * long their answers are waited for.
 */
export const RECALL_NODES_MAX = 8;
export const RECALL_DEADLINE_MS = 1_000;

/**
 * A manifest comes from the swarm, or from the nodes that are said to have it, within this time, or
 * the registry is asked. It is waited for before the registry (28 s by default) and after
 * it, between two recalls, all within ANSWER_DEADLINE_MS.
 */
export const MANIFEST_READ_MS = 2_000;

/**
 * Manifests that one node copies from others at once, a few KB each; those beyond it are left where
 * they are.
 */
export const MANIFEST_COPIES_MAX = 16;

/** Manifests whose Content-Type is remembered; ~300 bytes each. */
export const MANIFEST_TYPES_MAX = 16_384;

/** Repositories of which a node remembers where a manifest is. */
export const MANIFEST_PLACES_MAX = 4_096;

/** Nodes said to have a manifest that are tried, one after the other, and for how long each. */
export const MANIFEST_HOLDERS_MAX = 3;
export const MANIFEST_HOLDER_MS = 500;

/**
 * Jobs of the transfer threads that may wait for upstreams, of 256 in all (2 x
 * POOL_TASKS_PER_THREAD); at most 128 are reads (lib/swarm/origin-queue.ts). 32 questions to
 * one upstream at a round trip of 50 ms are 640 a second; three silent upstreams leave the fourth
 * its share, and 32 jobs are always left to the disk and to other nodes.
 */
export const TRANSFER_SHARES = {
  ask: { lane: 96, upstream: 32, unvouched: 32, client: 24 },
} as const;

/** Of the slots of memory that shards on their way from upstreams may hold; see Residency. */
export const SLOT_SHARES = {
  lane: 7 / 8,
  upstream: 3 / 4,
  unvouched: 1 / 2,
  client: 5 / 8,
} as const;

/**
 * Of the places for downloading layers (`proxyConcurrencyLimit`). Rounded up, so that a small limit
 * is one for a single client, too.
 */
export const LAYER_SHARES = { upstream: 7 / 8, unvouched: 3 / 4, client: 7 / 8 } as const;

/**
 * A node counts as not ready when something has waited this long although its share allows it: a
 * job for a transfer thread (a disk hangs, or threads cannot be started), or a shard for memory.
 */
export const STALLED_MS = 10_000;

/** A silence of name servers counts until this long after the last look-up that failed. */
export const DNS_SILENCE_FRESH_MS = 60_000;
/** Registries for which it is remembered. */
export const DNS_SILENCES_MAX = 256;

/** Log lines for blobs and pulls a second; further ones are not written. */
export const PULL_LINES_PER_SECOND_MAX = 20;

/** A blob's record ends this long after its last read when it was not sent whole. */
export const BLOB_IDLE_MS = 2_000;

/** A pull's record ends this long after its client's last read: runtimes pause between layers. */
export const PULL_IDLE_MS = 10_000;

/** Records of ended pulls that are kept, and of pulls under way at once. */
export const PULLS_KEPT = 100;
export const PULLS_OPEN_MAX = 1_000;

/** Shortest period over which the load of a pool's threads is measured. */
export const THREAD_LOOK_MS = 100;

/**
 * A pool starts another thread when its threads got a processor for this share of a period. A
 * thread costs 100 to 300 ms of CPU time and 20 MB; on a line of 100 Mbit/s one is enough.
 */
export const THREAD_BUSY_SHARE = 0.6;

/** A front that got a processor for more than this share of a period reads nothing from peers. */
export const FRONT_BUSY_SHARE = 0.3;

/**
 * Every shard on disk is checked about once a day: 4 GiB take one read of 2 MiB in 42 s, 200 GB two
 * a second at most.
 */
export const SCRUB_ROUND_MS = 24 * 60 * 60_000;
export const SCRUB_INTERVAL_MS_MIN = 500;

/** Registries with metrics of their own: a label with more values costs Prometheus too much. */
export const REGISTRIES_COUNTED_MAX = 64;
