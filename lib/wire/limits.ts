/** Bounds of lib/wire: each is named, has its unit last, and gives the reason for its value. */

/**
 * Registry responses asked for, or told, in one message: one answer of a registry teaches fewer,
 * and
 * a message stays within CONNECTION_HEAD_BYTES_MAX.
 */
export const RECALL_IDS_MAX = 4;

/** Characters of another node's error text that enter the log. */
export const MESSAGE_CHARS_MAX = 300;

/** Parents in one redirect: an owner names a few. */
export const PARENTS_MAX = 64;

/** Nodes excluded in one request: a fetch excludes a few. */
export const EXCLUDED_NODES_MAX = 64;

/** The longest pause that "busy" may ask for. Nodes ask for OWNER_RETRY_MS. */
export const BUSY_RETRY_MS_MAX = 1_000;

/** Node clocks may differ by this much; a captured request is useless after it. */
export const CLOCK_SKEW_MS_MAX = 60_000;

/**
 * The longest origin target, as JSON: sealed (base64url, 4/3) it fits into one request head of
 * REQUEST_HEAD_BYTES_MAX with 8 KiB to spare for the rest of the head.
 */
export const ORIGIN_BYTES_MAX = 42 * 1024;

/** Seals of origins that are kept, for blobs under way by their credentials, and their length. */
export const SEALS_KEPT = 64;
export const SEALS_CHARS_MAX = 1024 * 1024;

/** The longest that a node may be asked to hold a request for a shard. */
export const HOLD_MS_MAX = 20_000;

/** Blobs in one message of offers: sealed it takes 23 KB of a request head. */
export const OFFERS_PER_MESSAGE_MAX = 256;

/** Nodes that one answer names as holders of a blob. */
export const HOLDERS_MAX = 16;

/** Nodes of one message of summaries, and its JSON: 10,000 nodes of 1 KB each. */
export const SUMMARIES_MAX = 10_000;
export const SUMMARIES_BYTES_MAX = 16 * 1024 * 1024;

/** Packed summaries of one message: sealed (4/3) they take two thirds of a request head. */
export const PACKED_CHARS_MAX = 32 * 1024;

/** Points of the swarm's history that a node keeps. */
export const SUMMARY_HISTORY_MAX = 1_000;

/** Edges of one shard's tree: as many as a page shows. */
export const TREE_EDGES_MAX = 5_000;
/** The longest that a request for the member list may be held. */
export const MEMBERS_HOLD_MS_MAX = 60_000;

/** Members in one list, and the JSON text of a list that long, at 80 bytes a member. */
export const MEMBERS_MAX = 100_000;
export const MEMBERS_TEXT_BYTES_MAX = 8 * 1024 * 1024;

/** A sealed list of MEMBERS_MAX; addresses of one network shrink to a fifth. */
export const MEMBERS_ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Characters of a zone's name: the longest value of a Kubernetes label. */
export const ZONE_CHARS_MAX = 63;
