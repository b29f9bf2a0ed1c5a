/** Bounds of lib/control/peers: each is named, has its unit last, and gives its reason. */

/**
 * How long a node remembers that an origin serves parts of an object, or does not: longer than a
 * layer's reads are apart, short enough to notice that a pull-through cache has become warm.
 */
export const RANGE_SUPPORT_TTL_MS = 120_000;

/** Objects and hosts whose support for ranges is remembered. */
export const RANGE_OBJECTS_MAX = 4_096;
export const RANGE_HOSTS_MAX = 1_024;

/**
 * After a credential of unknown lifetime has been in use this long for one object, the rest of the
 * object is asked for in one long request. Tokens live 60 s at least (distribution-spec's default).
 */
export const CREDENTIAL_HOLD_MS = 30_000;

/** The same, this long before the end of a token that says when it expires. */
export const CREDENTIAL_HOLD_BEFORE_MS = 20_000;

/** How often waiting reads are looked at for credentials that may end. */
export const CREDENTIAL_LOOK_MS = 2_000;

/**
 * Before it asks for the rest of an object, a node waits so long for reads of other nodes: their
 * pause (ORIGIN_BACKOFF_MS) and a round trip.
 */
export const HOLD_GATHER_MS = 500;

/** Credentials whose first use is remembered: those of layers under way, with room. */
export const CREDENTIALS_WATCHED_MAX = 4_096;

/** Offers are sent this long after a change, or up to twice as long: changes come in groups. */
export const OFFER_PAUSE_MS = 3_000;

/** Offers that a keeper did not accept are sent again after this. */
export const OFFER_RETRY_MS = 30_000;

/** A keeper takes an offer within this, and messages to keepers under way at once. */
export const OFFER_DEADLINE_MS = 2_000;
export const OFFERS_AT_ONCE = 4;

/**
 * A search for the holders of a blob delays the first shards of a cold blob at their owners: a
 * round trip between nodes, and at most this.
 */
export const HOLDER_SEARCH_DEADLINE_MS = 300;

/** For how long the result of a search counts, when it has found a holder and when not. */
export const HOLDERS_FOUND_MS = 60_000;
export const HOLDERS_NONE_MS = 30_000;

/** Blobs of which such a result is remembered. */
export const HOLDERS_KNOWN_MAX = 4_096;

/** A node tells its summary so often while it changes, and so often otherwise. */
export const SUMMARY_INTERVAL_MS = 2_000;

/** Step of the history that heads keep. */
export const HISTORY_INTERVAL_MS = 1_000;
export const SUMMARY_HEARTBEAT_MS = 20_000;

/** A summary is small: a node that takes longer is skipped until the next. */
export const SUMMARY_CALL_MS = 2_000;

/** A node that is gone is shown this long. */
export const SUMMARY_KEPT_MS = 10 * 60_000;

/** Nodes and leaders that one node keeps summaries of. */
export const SUMMARY_SENDERS_MAX = 10_000;

/** Pages of one node read the swarm at most once a second; 10,000 nodes packed are 1 MB. */
export const GATHERING_FRESH_MS = 1_000;
export const GATHERING_BYTES_MAX = 8 * 1024 * 1024;

/** The part of a tree that one owner keeps: TREE_EDGES_MAX edges of 60 bytes. */
export const TREE_CALL_MS = 2_000;
export const TREE_BYTES_MAX = 1024 * 1024;

/** Nodes named in the log line of a change of members: a rollout replaces thousands. */
export const MEMBERS_LOGGED_MAX = 8;
