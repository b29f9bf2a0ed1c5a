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

/** The least a throttled sender may take at once: a pread of overlaybd's is not cut up. */
export const WRITE_STEP_BYTES = 64 * 1024;

/**
 * A throttled sender takes at most what the line carries in this time: short for fairness, long for
 * few writes at high limits.
 */
export const THROTTLE_STEP_MS = 0.5;

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

/**
 * A response head between nodes is a few hundred bytes, of an object store one or two KB, a
 * redirect's body a list of addresses; also what one read may copy.
 */
export const CONNECTION_HEAD_BYTES_MAX = 8 * 1024;

/**
 * Connections kept open to one node between exchanges, per transfer thread: a whole window of
 * shards may come from one node.
 */
export const PEER_IDLE_SOCKETS_MAX = 16;

/** uWebSockets.js closes idle connections after 10 s; ours are given up before. */
export const PEER_IDLE_SOCKET_MS = 8_000;

/**
 * How often a task looks whether control still wants it, so that a silent connection is left
 * promptly.
 */
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

/**
 * Threads that count: control, a few fronts, the pools with spare rows for threads that were
 * replaced.
 */
export const METER_ROWS_MAX = 32;

/** Throughput, QPS and MaxLatency look back this far: steady to the eye, quick to show a stall. */
export const RATE_WINDOW_SECONDS = 5;

/** The live page's curves: a point every 5 s over 15 minutes. */
export const HISTORY_STEP_SECONDS = 5;
export const HISTORY_POINTS_MAX = 180;

/** Distinct errors remembered for the status page; repeats are counted, not stored. */
export const RECENT_ERRORS_MAX = 50;

/** One error message on the status page and in the log. */
export const ERROR_MESSAGE_CHARS_MAX = 300;

/** Other nodes whose rate is followed: every node of the largest cluster simulated. */
export const PEER_RATES_MAX = 10_000;

/**
 * Peers, blobs in flight and tree edges in one status answer: what a page can show and a phone can
 * load.
 */
export const STATUS_PEERS_MAX = 1_000;
export const STATUS_BLOBS_MAX = 200;
export const STATUS_TREE_EDGES_MAX = 5_000;

/** Audit lines a thread holds before it hands them over; ~500 lines, one message and one write. */
export const AUDIT_BATCH_BYTES = 128 * 1024;

/** The oldest audit line a thread holds is handed over after this time. */
export const AUDIT_FLUSH_MS = 250;

/**
 * Audit lines on their way to control or waiting for the disk or the pipe; beyond it they are
 * dropped and counted.
 */
export const AUDIT_SINK_BYTES_MAX = 8 * 1024 * 1024;

/** audit.log turns over at this size or age, and so many old ones are kept. */
export const AUDIT_FILE_BYTES_MAX = 100 * 1024 * 1024;
export const AUDIT_FILE_AGE_HOURS = 24;
export const AUDIT_FILES_MAX = 5;

/** An audit file, or a file the log goes into, that failed is tried again after this time. */
export const LOG_REOPEN_MS = 10_000;

/** A node that ends waits so long for the reader of its log, then goes without. */
export const LOG_CLOSE_TIMEOUT_MS = 2_000;

/** Log lines waiting for a slow reader of stdout; beyond it they are dropped. */
export const LOG_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Tokens an idle throttle saves up: timers fire up to some milliseconds late, and the line must not
 * idle for it.
 */
export const THROTTLE_BURST_MS = 20;

/**
 * Bytes a front writes in one turn of its event loop, all connections together: 1.2 ms of its time.
 */
export const TURN_BYTES = 4 * 1024 * 1024;

/**
 * After a front was woken it looks again no sooner: a shard arrives in dozens of pieces, and a
 * wake-up costs tens of microseconds on both sides.
 */
export const DOORBELL_PAUSE_MS = 1;

/**
 * A read of at most so much is woken for each piece of it, without that pause: overlaybd reads 64
 * KiB, seldom more.
 */
export const BRIEF_READ_BYTES_MAX = 256 * 1024;

/**
 * Requests a front remembers as granted, so that warm reads are answered without asking control.
 */
export const WARM_REQUESTS_MAX = 8192;

/**
 * Of them, the ones used last are found without hashing: as many as the layers that a node reads at
 * once, and short to go through.
 */
export const WARM_RECENT_MAX = 8;

/** Blobs whose shard places a front remembers. */
export const WARM_BLOBS_MAX = 2048;

/**
 * An asked node that has no byte yet answers "busy, still at it" after this long, so that silence
 * always means frozen.
 */
export const PEER_HOLD_MS = 1_000;

/** The smallest cell of the slab: a page, the unit of direct I/O, so a 2 KB config costs 4 KiB. */
export const CACHE_CELL_BYTES_MIN = PAGE_BYTES;

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

/**
 * Victims tried for a whole slot before the emptiest shared slot is cleared: small blobs must not
 * all go for one shard.
 */
export const CACHE_VICTIMS_MAX = 64;

/**
 * Disk jobs under way at once. Depth 2 reaches the disk's ceiling with 2 MiB shards
 * (docs/CACHE.md), and one of libuv's four threads stays free for headers and name lookups when the
 * disk hangs.
 */
export const CACHE_IO_DEPTH = 3;

/**
 * A disk that failed is tried again after this time: long enough not to fill the log, short against
 * an operator's repair.
 */
export const CACHE_RETRY_MS = 30_000;

/** A disk that takes this long for 2 MiB is as good as dead; what waits for it goes on without. */
export const CACHE_STALL_MS = 10_000;

/** One bad sector is one lost shard; so many failed reads in a row are a failed disk. */
export const CACHE_READ_FAILURES_MAX = 3;

/** `flock` and `fallocate` answer at once; a filesystem that hangs must not hang the start. */
export const CACHE_PROGRAM_TIMEOUT_MS = 10_000;

/** Beyond its own drain deadline a node gets this long to come to an end before it is ended. */
export const DRAIN_OVERTIME_MS = 5_000;

/** Threads that serve the ports: more than any node has cores for. */
export const FRONT_THREADS_MAX = 64;

/** Agents of one `shoal up`: each is a process on this machine. */
export const UP_NODES_MAX = 64;

/**
 * A shard brought into memory is spared from eviction this long, unless it is read before:
 * read-ahead must not be lost.
 */
export const FRESH_SLOT_MS = 1_500;

/** A shard waits this long for a slot of memory before the client is told to come back. */
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
 * A digest that has not moved for this long waits for a shard nobody asks for: it is read back
 * later.
 */
export const DIGEST_PATIENCE_MS = 2_000;

/** Shards waiting for a slot at once; each is a request or a read-ahead, so more means overload. */
export const ARENA_WAITERS_MAX = 4_096;

/** Blobs a client of `shoal up` pulls at once: the default of container runtimes. */
export const PULL_CONCURRENCY = 3;

/**
 * A pull client waits this long for a head: a node answers or refuses within ANSWER_DEADLINE_MS.
 */
export const PULL_HEAD_TIMEOUT_MS = ANSWER_DEADLINE_MS + 10_000;

/** A body that brings nothing for this long is broken off by a pull client. */
export const PULL_SILENCE_MS = 30_000;

/** A manifest, an index or a token is at most so long (distribution-spec 1.1: 4 MiB). */
export const PULL_DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;

/** A node of `shoal up` is ready well within this, even when 64 of them start on two cores. */
export const UP_READY_TIMEOUT_MS = 60_000;

/**
 * A whole pull of `shoal up`, over all nodes: long enough for 20 GB at 12 MB/s, and an end to
 * everything.
 */
export const UP_PULL_DEADLINE_MS = 30 * 60_000;

/** Nodes of `shoal up` that have not ended this long after SIGTERM are killed. */
export const UP_STOP_TIMEOUT_MS = 10_000;

/** A node tells its counters at once or not at all. */
export const STATUS_TIMEOUT_MS = 5_000;

/**
 * Free ports are picked, then used: somebody may come in between, so often in a row they will not.
 */
export const UP_PORT_ATTEMPTS_MAX = 3;

/** Nodes of `shoal up` being started at once: more would only fight for the cores. */
export const UP_STARTS_AT_ONCE = 4;

/** Blobs whose size and ways to the origin are remembered; about 1 KB each. */
export const BLOB_FACTS_MAX = 16_384;

/**
 * And of memory for them, as URLs and credentials can be as long as a request's head; clients name
 * them before any right is checked.
 */
export const BLOB_FACTS_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Blobs whose digest is followed at once, shard by shard; a sha256 state each on the digest thread.
 */
export const BLOB_DIGESTS_MAX = 256;

/** Length of a repository name, as docker distribution limits it. */
export const REPOSITORY_NAME_CHARS_MAX = 255;

/** Rights remembered, of (credential, repository) or signed URLs: ~200 bytes each. */
export const ACCESS_GRANTS_MAX = 32_768;

/** Sights of a blob in a repository remembered: 40 layers of 1,600 images, ~250 bytes each. */
export const BLOB_PROOFS_MAX = 65_536;

/** What a repository holds seldom leaves it; after a day it is looked at again. */
export const BLOB_PROOF_TTL_MS = 24 * 60 * 60_000;

/**
 * Layers of an image and platforms of an index are far fewer; a manifest of 4 MiB could name more.
 */
export const MANIFEST_MEMBERS_MAX = 4_096;

/** An error answer of the origin is kept up to this length, to be passed on. */
export const ORIGIN_ERROR_BODY_BYTES_MAX = 64 * 1024;

/**
 * Connections to one origin host and thread: enough to fill a fast line with 2 MiB requests, few
 * for a registry.
 */
export const ORIGIN_CONNECTIONS_MAX = 32;

/**
 * From asking to the first body byte, over all redirects and repeats: leaves room within
 * ANSWER_DEADLINE_MS to say so.
 */
export const ORIGIN_ANSWER_DEADLINE_MS = 25_000;

/**
 * An origin must send at least this much in every window of ORIGIN_SILENCE_MS, or it only pretends
 * to send.
 */
export const ORIGIN_WINDOW_BYTES_MIN = 4_096;

/** Where a registry sends blob requests to is remembered this long; signatures live for minutes. */
export const ORIGIN_REDIRECT_TTL_MS = 60_000;

/** Redirect targets remembered: blobs under way at once, with room. */
export const ORIGIN_REDIRECTS_REMEMBERED_MAX = 2_048;

/**
 * A front answers the same request again without asking control for at most this long; drops of a
 * right are seen within it.
 */
export const GRANT_MS_MAX = 60_000;

/** A front thread listens within this time after its start, on the slowest machine. */
export const FRONT_START_TIMEOUT_MS = 20_000;

/**
 * Annotations of one object, keys and values together: the API refuses the object beyond it
 * (Kubernetes, "Annotations").
 */
export const ANNOTATIONS_BYTES_MAX = 256 * 1024;

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

/**
 * How often the swarm's core looks at its fetches: well below the shortest of its deadlines, free
 * at some hundred fetches.
 */
export const SWARM_TICK_MS = 25;

/**
 * TLS sessions of origins kept for a quick handshake: registries and their object stores are a
 * handful; 2 KB each.
 */
export const ORIGIN_TLS_SESSIONS_MAX = 64;

/**
 * An idle connection to an origin is kept this long; servers commonly close theirs after 15 s or
 * more.
 */
export const ORIGIN_KEEP_ALIVE_MS = 10_000;

// --- swarm: chosen with the simulator, figures in docs/SWARM.md ---

/**
 * Nodes of a shard's rank that are looked at. Where none of them can be reached each node goes to
 * the origin by itself: in a third cut off from the rest that befalls 0.7 ^ 24 = 0.02 % of the
 * shards (with 8 it was 6 %).
 */
export const RANK_DEPTH = 24;

/**
 * Nodes that share one tracker of a shard, up to which one does for all; of a larger swarm so many
 * share one, and the next in rank track some. Each asks twice a shard at 60 us of the tracker's
 * processor: at more than a thousand the wait is longer than that for the trackers behind the
 * first, which have to get the shard themselves.
 */
export const LONE_OWNER_CLIENTS_MAX = 1_000;
export const OWNER_CLIENTS = 250;
export const OWNERS_MAX = 64;

/**
 * Ranks remembered: the shards of a 128 GB image; forgotten at once when full, and made again in
 * microseconds.
 */
export const RANKS_MAX = 65_536;

/**
 * Children an inner node of a shard's tree takes; a node is inner in one of so many trees
 * (docs/SWARM.md).
 */
export const TREE_FANOUT = 6;

/**
 * Children the owner of a shard sends to itself, and how many of them may be leaves of the tree.
 */
export const OWNER_FANOUT = 8;
export const OWNER_LEAVES = 2;

/** Above this many children at once even an owner without any other holder says "busy". */
export const OWNER_CHILDREN_MAX = 64;

/**
 * Children of all shards a node sends to at once: far above what a full window asks of it, far
 * below what its sockets bear.
 */
export const UPLOADS_MAX = 2_048;

/** Free places among which the least loaded node's is taken. */
export const TREE_CHOICES = 4;

/** Candidates looked at for one requester before it is sent to the first that will do at all. */
export const TREE_SCAN_MAX = 64;

/**
 * Shards a node tracks at once, and nodes over all of them; the longest unasked are forgotten, at
 * worst they are made again.
 */
export const TRACKERS_MAX = 32_768;
export const TRACKED_NODES_MAX = 1_000_000;

/**
 * A tree nobody asked about for this long is forgotten; who asks later is served by the owner
 * first, as at the start.
 */
export const TRACKER_IDLE_MS = 10 * 60_000;

/**
 * Doubts (other nodes left it, or it had not got the shard) before a holder gets no more children
 * in this tree.
 */
export const HOLDER_DOUBTS_MAX = 2;

/**
 * A node that asked so long ago and was not heard of since no longer takes a place in the tree,
 * when places are short.
 */
export const HOLDER_STALE_MS = 10_000;

/**
 * An owner whose children are all taken is asked again after this long: a shard or two have passed
 * by then.
 */
export const OWNER_RETRY_MS = 50;

/** A forwarded request passes a parent's owner, a second owner and a root; more is a loop. */
export const HOPS_MAX = 6;

/** Redirects without a byte in between, before the redirecting owner counts as failed. */
export const REDIRECTS_MAX = 16;

/** Nodes a request says it does not want: beyond it the oldest are taken back. */
export const EXCLUDES_MAX = 16;

/** First cool-down of a node that failed; doubles with every failure in a row up to the second. */
export const COOL_DOWN_MS = 2_000;
export const COOL_DOWN_MS_MAX = 60_000;

/** So many slow transfers without a good one between make a node slow, for so long. */
export const SLOW_STRIKES = 3;
export const SLOW_MS = 10_000;

/**
 * A node that sent wrong bytes twice is left alone for this long. Once: honest children of a liar
 * pass on what they got.
 */
export const LIES_MAX = 2;
export const QUARANTINE_MS = 10 * 60_000;

/** Nodes whose trouble is remembered; only troubled nodes are. */
export const TROUBLED_NODES_MAX = 20_000;

/**
 * A parent is left when it takes so many times as long as shards took lately, and at least so long.
 */
export const LATE_FACTOR = 2;
export const LATE_MS_MIN = 100;

/**
 * The same for an owner where there are no roots: to pass it over wrongly costs the origin a shard,
 * so it is given more time.
 */
export const LATE_OWNER_FACTOR = 4;
export const LATE_OWNER_MS_MIN = 300;

/**
 * A parent is left after this long before it is known how long shards take: half of what silence is
 * given.
 */
export const LATE_UNKNOWN_MS = 1_000;

/**
 * Shards measured before any is called late, and that must have come since the late one was begun:
 * else it is not the parent.
 */
export const LATE_SAMPLES_MIN = 8;
export const LATE_FLOW_MIN = 4;

/**
 * An owner whose parents are late while no shards come at all is passed over after this long: it
 * may itself be waiting for a root that is short of a processor, to which all would be sent at once
 * (docs/SWARM.md).
 */
export const LATE_ALONE_MS = 1_400;

/**
 * Nodes that have to pass over an owner before the next in rank goes to the origin in its place;
 * one is enough where roots stand before it.
 */
export const ACCUSERS_MIN = 3;

/**
 * Nodes after a shard's owner in its rank that may go to the origin because those before them are
 * late, not dead.
 */
export const SUCCESSORS = 2;

/** An owner that is alive but has had no byte for this long is passed over. */
export const OWNER_PATIENCE_MS = 10_000;

/** A fetch that gained no byte for this long gives up, before its client's ANSWER_DEADLINE_MS. */
export const FETCH_PATIENCE_MS = 25_000;

/**
 * Requests to the origin for one shard by one node, and the first pause between them (doubles, with
 * jitter).
 */
export const ORIGIN_TRIES_MAX = 4;
export const ORIGIN_BACKOFF_MS = 200;

/** Owners whose way to the origin failed before a fetch believes that it is the origin. */
export const OWNER_REFUSALS_MAX = 2;

/** Times a shard is read anew because it had not the owner's checksum. */
export const CORRUPTIONS_MAX = 4;

/**
 * So often a shard may come wrong by the owners' trees; then it is asked of a root, if there is
 * one. A first owner that sends wrong bytes spoils the other owners' trees too, as nodes stand in
 * several while they receive.
 */
export const WRONG_TREES_MAX = 2;

/** Credentials remembered for one fetch; the newest are the likeliest to be good. */
export const CONTEXTS_MAX = 4;

/** A reader gets no further ahead of itself than this, in shards: 512 MiB on disk at most. */
export const AHEAD_SHARDS_MAX = 256;

/** A request to the Kubernetes API, answer included, or it counts as away. */
export const KUBE_REQUEST_TIMEOUT_MS = 10_000;

/**
 * The API server ends a watch after this long; a shorter one notices a lost connection sooner, a
 * longer one asks less often.
 */
export const KUBE_WATCH_SECONDS = 120;

/** On top of KUBE_WATCH_SECONDS before silence counts as a lost connection. */
export const KUBE_WATCH_GRACE_MS = 10_000;

/** Objects per page of a list: what the ecosystem's clients ask for. */
export const KUBE_LIST_PAGE = 500;

/** A page of 500 secrets of 1 MiB would be the worst case; docker configs are some KB each. */
export const KUBE_ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** First and longest pause before the Kubernetes API is tried again. */
export const KUBE_BACKOFF_MS_MIN = 500;
export const KUBE_BACKOFF_MS_MAX = 15_000;

/** Everything is listed anew this often, in case a watch lost an event. */
export const KUBE_RESYNC_MS = 10 * 60_000;

/** A service account token is read again this often; kubelet renews it well before its end. */
export const KUBE_TOKEN_TTL_MS = 60_000;

/** A node waits so long for the first view of its cluster, then starts without one. */
export const MEMBERSHIP_START_TIMEOUT_MS = 5_000;

/** The headless service's name is resolved again this often (discovery `dns`). */
export const DNS_REFRESH_MS = 3_000;

/**
 * A node that was told "busy" comes back at once; what is fetched for it is not given up before
 * this.
 */
export const PEER_RETURN_MS = 2_500;

/**
 * Requests to one registry or object store under way at once from one node: with a shard each
 * enough to hide 50 ms of latency at 5 Gbit/s.
 */
export const ORIGIN_REQUESTS_MAX = 16;

/**
 * The same of all together: half of the jobs that the transfer threads take, the other half being
 * for the disk and other nodes.
 */
export const ORIGIN_ALL_REQUESTS_MAX = (TRANSFER_THREADS * POOL_TASKS_PER_THREAD) / 2;

/** Of those, requests for whole shards of one blob. */
export const ORIGIN_IN_ORDER_REQUESTS_MAX = 8;

/** Shards that one request to the origin asks for at most. */
export const ORIGIN_REQUEST_SHARDS_MAX = 8;

/**
 * With so many requests for a blob under way a shard that goes on from them waits for others to
 * make up a longer request.
 */
export const ORIGIN_FEW_REQUESTS = 2;

/**
 * An admission review is answered within this time: the API server waits 5 s (the chart's
 * timeoutSeconds), the way there and back included.
 */
export const ADMISSION_DEADLINE_MS = 4_000;

/** An idle connection is kept this long: the API server closes its own after 90 s. */
export const ADMISSION_IDLE_MS = 120_000;

/**
 * The API server takes requests of up to 3 MiB; a review holds the object, as JSON, with what
 * surrounds it.
 */
export const ADMISSION_BODY_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Reviews under way at once; the API server's own limit for mutating requests is 200 by default, of
 * two or three servers.
 */
export const ADMISSION_REVIEWS_MAX = 1_000;

/**
 * A copy that somebody else keeps writing to at the same moment is tried this often, then left to
 * the controller's retry.
 */
export const COPY_ATTEMPTS_MAX = 4;

/**
 * Copies written at once by the controller: a rollout of thousands of namespaces must not flood the
 * API server.
 */
export const COPIES_AT_ONCE = 8;

/** First and longest pause before a copy that failed is tried again. */
export const COPY_RETRY_MS_MIN = 500;
export const COPY_RETRY_MS_MAX = 60_000;

/**
 * Leader election as the ecosystem's: a leader is given up for lost after 15 s, steps down when it
 * could not renew for 10 s, tries every 2 s.
 */
export const LEASE_DURATION_MS = 15_000;
export const LEASE_RENEW_DEADLINE_MS = 10_000;
export const LEASE_RETRY_MS = 2_000;

/**
 * Validity of the webhook's own authority and of its leaf, and how far before its end each is
 * renewed.
 */
export const AUTHORITY_VALID_MS = 3_650 * 86_400_000;
export const AUTHORITY_RENEW_BEFORE_MS = 365 * 86_400_000;
export const LEAF_VALID_MS = 90 * 86_400_000;
export const LEAF_RENEW_BEFORE_MS = 30 * 86_400_000;

/** Certificates begin this long before they are made: clocks of control plane and nodes differ. */
export const CERTIFICATE_BACKDATE_MS = 5 * 60_000;

/**
 * A new authority signs nothing before every API server has had this long to take it in with the
 * caBundle.
 */
export const AUTHORITY_SETTLE_MS = 60_000;

/** The webhook looks after its certificate this often, besides being told of changes. */
export const CERTIFICATE_CHECK_MS = 60_000;

/**
 * After SIGTERM the webhook serves on this long: until the API servers have learnt that its
 * endpoint is gone.
 */
export const WEBHOOK_DRAIN_MS = 5_000;

/**
 * A thread's JavaScript heap, in MiB: payload never lies there. A small young generation keeps
 * resident memory down, at no cost that could be measured.
 */
export const THREAD_HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 };

/**
 * A shard whose reader has come to the end of a small read is brought to its own end, for at most
 * this long.
 */
export const FINISH_SHARD_MS = 30_000;

/**
 * Shards brought ahead of a run of small reads (lib/swarm/pattern.ts), and of all blobs together,
 * as a share of memory's slots.
 */
export const AHEAD_SMALL_READS_SHARDS_MAX = 16;
export const AHEAD_SMALL_READS_SLOT_SHARE = 1 / 4;

/**
 * A read of at most so much is one of many small ones; larger ones say themselves what comes next.
 */
export const SMALL_READ_BYTES_MAX = SHARD_BYTES / 2;

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
 * A slice that begins at least this far into its shard is read from the origin before what lies
 * below it, by a request of its own.
 */
export const SLICE_FIRST_BYTES_MIN = 256 * 1024;

/**
 * Shards a node passes on to others are asked for this much earlier than those it only reads, so
 * that it is there before its children.
 */
export const INNER_LEAD_SHARDS = 24;

/**
 * How often a node looks at its proxy's certificate: an operator who replaces it expects it in use
 * within the minute, and it costs two small reads.
 */
export const CERTIFICATE_LOOK_MS = 30_000;

/**
 * Life of a node's own CA, and of the proxy's certificate under it, which is renewed when less than
 * a third is left.
 */
export const PROXY_CA_DAYS = 3_650;
export const PROXY_LEAF_DAYS = 365;
export const PROXY_LEAF_RENEW_MS = 120 * 86_400_000;

/**
 * Nesting of a runtime's JSON config that is followed: real ones have a handful of levels, a
 * damaged one must not exhaust the stack.
 */
export const JSON_DEPTH_MAX = 200;

/**
 * Whether a Shoal node answers at an address is asked for so long: it is on loopback, or it is not
 * the one meant.
 */
export const PROBE_TIMEOUT_MS = 2_000;

/**
 * Blobs that `shoal preheat` reads at once: as many as a runtime, so that it never takes a node
 * from those who pull.
 */
export const PREHEAT_CONCURRENCY = PULL_CONCURRENCY;

/**
 * Shards that a node brings to itself at once because others tell it to: half of what a runtime's
 * own pull has under way.
 */
export const HOLD_SHARDS_AT_ONCE = 16;

/** A node says within PEER_HOLD_MS how far it is with a blob; this much later it counts as away. */
export const PREHEAT_CALL_DEADLINE_MS = 5_000;

/** Nodes that `shoal preheat --nodes` has at work at once. */
export const PREHEAT_NODES_AT_ONCE = 64;

/**
 * A node that has not one shard more after this long has failed; it may be small, or slow, but not
 * that slow.
 */
export const PREHEAT_NODE_PATIENCE_MS = 60_000;

/**
 * Shards that a node remembers small reads to have come to, for traces: 32 GB of reads, ~200 bytes
 * each.
 */
export const READ_TRACE_SHARDS_MAX = 16_384;

/**
 * So far back a trace reaches unless it is told otherwise: a start takes less, overlaybd's
 * background download begins later.
 */
export const TRACE_SECONDS = 300;

/** So far back a trace may reach. */
export const TRACE_SECONDS_MAX = 86_400;

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

/**
 * Shards of the trees in which it is a leaf that a sequential reader waits for at once
 * (docs/SWARM.md).
 */
export const READ_WINDOW_SHARDS = 24;

/**
 * Blobs for which it is remembered who sent which shard, until the blob's digest has been checked;
 * about 200 bytes a shard.
 */
export const SUSPICION_BLOBS_MAX = 256;

/**
 * Lines at warn about failed requests and transfers, per second; an outage must not fill the disk
 * of the log.
 */
export const TROUBLE_LINES_PER_SECOND_MAX = 10;

/** Lines a front puts into the log per second about what clients do; the rest is only counted. */
export const NOTICES_PER_SECOND_MAX = 10;

/** Words of registries remembered: tags, manifests and credentials of an hour; ~400 bytes each. */
export const WORDS_MAX = 32_768;

/** A WWW-Authenticate header that is remembered: a realm and a service are well under it. */
export const CHALLENGE_CHARS_MAX = 1_024;

/**
 * Words asked for, or told, in one message between nodes: what one answer of a registry teaches is
 * fewer; an answer stays within CONNECTION_HEAD_BYTES_MAX.
 */
export const RECALL_IDS_MAX = 4;

/** Nodes told what a registry said of a repository, the first in its rank: one may go. */
export const WORD_KEEPERS = 2;

/**
 * Nodes asked what a registry that is down said before, the first in the repository's rank, and how
 * long their answers are waited for.
 */
export const RECALL_NODES_MAX = 8;
export const RECALL_DEADLINE_MS = 1_000;

/**
 * Names of passwords that nodes ask each other by, remembered, and waiting to be made: 50 ms each,
 * one at a time.
 */
export const CREDENTIAL_NAMES_MAX = 1_024;
export const CREDENTIAL_NAMES_WAITING_MAX = 32;

/**
 * A manifest comes from the swarm, or from the nodes that are said to have it, within this time, or
 * the registry is asked. It is waited for before the registry (ORIGIN_ANSWER_DEADLINE_MS) and after
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

/** Nodes said to have a manifest that are tried, one after the other, and for how long each. */
export const MANIFEST_HOLDERS_MAX = 3;
export const MANIFEST_HOLDER_MS = 500;

/**
 * A registry that said nothing is taken to say nothing for this long by reads of what cannot
 * change, longer than it is waited for (ORIGIN_ANSWER_DEADLINE_MS), so that nobody waits while it
 * is asked beside them, this often.
 */
export const OUTAGE_MS = 30_000;
export const OUTAGE_ASK_MS = 1_000;

/** Registries whose outages are remembered. */
export const OUTAGES_MAX = 1_024;
