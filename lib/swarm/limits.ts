/** Bounds of lib/swarm: each is named, has its unit last, and gives the reason for its value. */
import { TRANSFER_THREADS, POOL_TASKS_PER_THREAD } from '../limits.ts';

/**
 * Nodes of a shard's rank that are tried. If none of them can be reached, the node goes to the
 * origin by itself. In a third of the cluster that is cut off from the rest, this happens to 0.7 ^
 * 24 = 0.02 % of the shards (with 8 nodes it was 6 %).
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
 * Up to so many agents, in one zone, a blob has one owner for all shards, and so one chain: no two
 * senders share a node's line. In larger swarms that is too much for one (docs/SWARM.md).
 */
export const BLOB_OWNER_NODES_MAX = 16;

/** Children an inner node of a shard's tree takes; a node is inner in one of so many trees. */
export const TREE_FANOUT = 6;

/**
 * Where a shard takes at least this long, it is sent along chains; where it takes less, along a
 * tree, unless there are at most FEW_NODES_MAX agents (docs/SWARM.md).
 */
export const CHAIN_SHARD_MS_MIN = 40;
export const FEW_NODES_MAX = 64;

/**
 * Up to so many agents, shards go along chains while the line is unknown: with 256 nodes 64 MB
 * takes 1.4 to 1.5 times the ideal on lines of up to 1 Gbit/s, along trees 1.75 to 1.8.
 */
export const UNKNOWN_LINE_CHAIN_NODES_MAX = 256;

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
 * A tree without requests for this long is forgotten. The owner serves the next request itself, as
 * at the start.
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
 * An owner that has no room for a child is asked again after this long, in which it sends one or
 * two shards.
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

/** Length of a quarantine, after wrong bytes for the second time. */
export const LIES_MAX = 2;
export const QUARANTINE_MS = 10 * 60_000;

/** Nodes with failures that are remembered. */
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
 * A request for a shard may be held until a whole window has come, at most this long, before the
 * node asked says "busy". On a slow line, waiting is normal, and each "busy" costs a message.
 */
export const HOLD_MS_MAX = 20_000;

/**
 * A node is first asked to hold a request for the time of so many shards, HOLD_MS_MIN at least;
 * each time it has nothing to send, for HOLD_GROWTH times as long. So a dead node is found out
 * after a moment, and a living one that waits is asked a few times only.
 */
export const HOLD_MS_MIN = 150;
export const HOLD_SHARDS = 4;
export const HOLD_GROWTH = 5;

/**
 * An answer that is due takes at least this long to be missed: a node without a free core is that
 * late. How long in fact follows the answers of late (RFC 6298).
 */
export const ANSWER_MS_MIN = 200;

/**
 * The same before answers have come, and for a node behind which there is only the origin. Such a
 * node is asked twice, and may hold each request for HOLD_MS_MIN: it is left within 2 s.
 */
export const SILENCE_MS_MAX = 650;

/**
 * On a slow line an answer waits behind what the line has queued, or is lost and sent again: it may
 * be late by the time of a shard, up to this.
 */
export const SILENCE_SLOW_LINE_MS_MAX = 2_000;

/**
 * A sender is late when so many shards that are to be sent after this one have come: as many as
 * share the line, twice, and at least OVERTAKERS_MIN. Senders send in order, so this holds on any
 * line; a time limit does not. Each time it doubles, to OVERTAKERS_MAX.
 */
export const OVERTAKERS_MIN = 12;
export const OVERTAKERS_MAX = 96;

/**
 * A parent that has brought no byte of a shard for the time of STUCK_SHARDS, at least STUCK_MS_MIN,
 * is left; STUCK_UNKNOWN_MS while the line is not known. A fetch waits up to twice as long, by
 * chance: of all nodes behind a stuck one, the first that leaves sends to those below it.
 */
export const STUCK_SHARDS = 6;
export const STUCK_MS_MIN = 500;
export const STUCK_UNKNOWN_MS = 4_000;

/**
 * An owner that does not know the checksum of a shard that is here whole is behind: a root is asked
 * for it after the time of so many shards, at least CHECKSUM_MS_MIN.
 */
export const CHECKSUM_SHARDS = 2;
export const CHECKSUM_MS_MIN = 200;

/**
 * A node that holds requests is asked whether it is there when nothing came from it for the time
 * of SOUNDING_SHARDS shards, within the two bounds. With each answer to that the time is
 * SOUNDING_GROWTH times as long, at most SOUNDING_GROWTHS_MAX times. It is checked every
 * SOUNDING_LOOK_MS.
 */
export const SOUNDING_SHARDS = 1;
export const SOUNDING_MS_MIN = 500;
export const SOUNDING_MS_MAX = 4_000;
export const SOUNDING_GROWTH = 4;
export const SOUNDING_GROWTHS_MAX = 2;
export const SOUNDING_LOOK_MS = 250;

/** Owners next in rank that are sounded when one has failed. */
export const LOOK_AHEAD_NODES = 6;

/** The first owners leave a shard to the next in rank if the asker's line is so much faster. */
export const YIELD_OWNERS_MAX = 8;

/**
 * The swarm looks at its fetches TICKS_PER_SHARD times in the time of a shard, within the bounds:
 * well below the shortest deadline that holds on such a line, and below the pause after which the
 * line is measured anew (pace.ts). Each look is a wake-up of its own, and visits every fetch.
 */
export const TICKS_PER_SHARD = 2;
export const TICK_MS_MIN = 25;
export const TICK_MS_MAX = 100;

/** Shards of this much time may share an uplink: what hides a round trip. */
export const UPLOAD_TURN_MS = 100;

/**
 * Shards measured before any is called late, and that must have come since the late one was begun:
 * else it is not the parent.
 */
export const LATE_SAMPLES_MIN = 8;
export const LATE_FLOW_MIN = 4;

/**
 * A sender that has begun, and whose turn it is not, sends 8 KiB a second; with that alone a shard
 * would take four minutes. Its turn comes within the time of two windows, at least REST_MS_MIN, or
 * REST_UNKNOWN_MS while the line is not known. A sender that sends less than ALIVE_BYTES_PER_MS for
 * so long, or less than TRICKLE_BYTES_PER_MS while other shards come, has failed. A limit on the
 * time of the whole shard would be wrong: a receiver with a fast line may wait for a slow line that
 * many nodes share. A sender behind which there is only the origin gets REST_LAST_FACTOR times as
 * long.
 */
export const ALIVE_BYTES_PER_MS = 10;
export const TRICKLE_BYTES_PER_MS = 64;
export const REST_MS_MIN = 2_500;
export const REST_UNKNOWN_MS = 5_000;
export const REST_LAST_FACTOR = 3;

/**
 * Nodes that have to pass over an owner before the next in rank goes to the origin in its place;
 * one is enough where roots stand before it.
 */
export const ACCUSERS_MIN = 3;

/** An owner that is alive but has had no byte for this long is passed over. */
export const OWNER_PATIENCE_MS = 10_000;

/**
 * The same for one that says "busy" at once instead of holding the request, and the longest pause
 * before it is asked again: seven requests are made.
 */
export const BUSY_PATIENCE_MS = 1_500;
export const BUSY_PAUSE_MS_MAX = 1_000;

/**
 * A fetch for which no byte came for this long gives up, before its client's ANSWER_DEADLINE_MS. At
 * half of it, it asks a root itself. A client's own fetch reads the origin before it gives up.
 */
export const FETCH_PATIENCE_MS = 25_000;

/** Blobs, and shards of each, of which the last arrivals are remembered (arrivals.ts). */
export const ARRIVALS_BLOBS_MAX = 256;
export const ARRIVALS_SHARDS_MAX = 64;

/** Requests to the origin for one shard by one node, and the first pause between them (doubles). */
export const ORIGIN_TRIES_MAX = 4;
export const ORIGIN_BACKOFF_MS = 200;

/** Pause before a read is repeated because its thread ended: another thread has to start. */
export const THREAD_BACKOFF_MS = 50;

/**
 * An origin that stalls for so long before its answer breaks off is tried only twice, the attempts
 * of owners and roots included. Otherwise clients would not get the error in time.
 */
export const ORIGIN_BROKEN_PATIENCE_MS = 5_000;

/** Owners that must report a failure of the origin before a fetch believes it. */
export const OWNER_REFUSALS_MAX = 2;

/** After wrong bytes, nodes are asked for checked bytes only for this long. */
export const CAUTION_MS = 60_000;

/** Times a shard is read again because its checksum was wrong. */
export const CORRUPTIONS_MAX = 4;

/**
 * Times an owner that sent a shard may not know its checksum before it is passed over: an honest
 * one has evicted the shard once, or twice.
 */
export const STAT_MISSES_MAX = 2;

/** Credentials remembered for one fetch; the newest are the likeliest to be good. */
export const ORIGIN_REFS_MAX = 4;

/** A reader gets no further ahead of itself than this, in shards: 512 MiB on disk at most. */
export const AHEAD_SHARDS_MAX = 256;

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
 * With so many requests for a blob in flight, the next shard of their sequence waits until a longer
 * request can be made.
 */
export const ORIGIN_FEW_REQUESTS = 2;

/**
 * Shards a node passes on to others are asked for this much earlier than those it only reads, so
 * that it is there before its children.
 */
export const INNER_LEAD_SHARDS = 24;

/** Keepers of a blob: one may be down, or have just been started. */
export const OFFER_KEEPERS = 2;

/**
 * An offer is repeated to a keeper after the shorter time; the keeper forgets it after the longer
 * one.
 */
export const OFFER_REFRESH_MS = 20 * 60_000;
export const OFFER_EXPIRES_MS = 45 * 60_000;

/** Blobs that one node offers; with more, the largest are offered. */
export const OFFERS_MAX = 4_096;

/** Blobs that a keeper remembers, and nodes for each: 11 MB when full. */
export const DIRECTORY_BLOBS_MAX = 16_384;
export const DIRECTORY_HOLDERS_MAX = 8;

/** Nodes that a keeper names to one asker. */
export const HOLDERS_NAMED_MAX = 4;

/** Nodes that keep the summaries of all: one, and one to stand in for it. */
export const SUMMARY_HEADS = 2;

/** Nodes that may collect for one part of a large swarm, in the order they are tried. */
export const SUMMARY_LEADERS = 3;

/** Up to so many nodes tell the heads themselves: 24 messages a second. */
export const SUMMARY_DIRECT_NODES_MAX = 48;

/** Agents that watch the source of the member list where there are no roots: one, two spares. */
export const FEED_WATCHERS = 3;

/** Nodes that take the list from one node: 5,000 nodes are four steps from the source. */
export const FEED_FANOUT = 16;

/**
 * Answers of an upstream that are to be coming at once before its line is known; twice as many must
 * bring so many times the rate to be kept (origin-window.ts). How long a trial of that is to take.
 */
export const ORIGIN_STREAMS_MIN = 1;
export const ORIGIN_STREAM_GAIN_MIN = 1.1;
export const ORIGIN_TRIAL_MS = 1_000;

/** Shards of a round at least, and the rounds after which twice as many streams are tried again. */
export const ORIGIN_ROUND_SHARDS = 4;
export const ORIGIN_PROBE_ROUNDS = 16;

/**
 * A request that brought nothing for so long holds up no other: its object may come late alone. On
 * a slow line, where others come meanwhile, for the time of ORIGIN_SILENT_SHARDS, at most
 * ORIGIN_SILENT_MS_MAX: at 10 Mbit/s each request would soon be beside all others.
 */
export const ORIGIN_SILENT_MS = 500;
export const ORIGIN_SILENT_SHARDS = 2;
export const ORIGIN_SILENT_MS_MAX = 5_000;

/** How much is asked for ahead, in parts of what comes until the first byte (2, as in BBR). */
export const ORIGIN_LEAD = 2;

/** Pause between two requests, in parts of the time that what the first asks for takes. */
export const ORIGIN_PACING = 0.75;

/** Where nothing is under way, what other nodes ask for is gathered for this long. */
export const ORIGIN_GATHER_MS = 2;

/** Upstreams whose line is remembered. */
export const ORIGIN_WINDOWS_MAX = 256;
