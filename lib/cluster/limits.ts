/** Bounds of lib/cluster. Each has a name, its unit last, and the reason for its value. */

/** Deadline of a request to the Kubernetes API, including the answer. */
export const KUBE_REQUEST_TIMEOUT_MS = 10_000;

/**
 * The API server ends a watch after this time. Shorter detects a lost connection sooner; longer
 * sends fewer requests.
 */
export const KUBE_WATCH_SECONDS = 120;

/** Grace after KUBE_WATCH_SECONDS before a silent watch counts as lost. */
export const KUBE_WATCH_GRACE_MS = 10_000;

/** Objects per page of a list: the common value of Kubernetes clients. */
export const KUBE_LIST_PAGE = 500;

/** The worst case is a page of 500 secrets of 1 MiB each; docker configs take a few KB. */
export const KUBE_ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** First and longest pause before the Kubernetes API is tried again. */
export const KUBE_BACKOFF_MS_MIN = 500;
export const KUBE_BACKOFF_MS_MAX = 15_000;

/** A node waits this long for its first membership view, then starts without one. */
export const MEMBERSHIP_START_TIMEOUT_MS = 5_000;

/**
 * Changes of the membership within this time are reported together. A rollout over thousands of
 * nodes changes endpoints all the time; each view costs every node some milliseconds. The first
 * change after a quiet time is reported at once.
 */
export const MEMBERSHIP_BATCH_MS = 700;

/** Period of name resolution (discovery `dns`). */
export const DNS_REFRESH_MS = 3_000;

/** Bounds of cached password names and of queued computations (50 ms each, one at a time). */
export const CREDENTIAL_NAMES_MAX = 1_024;
export const CREDENTIAL_NAMES_WAITING_MAX = 32;

/**
 * Changes are taken together for this much longer per member: a list of 5,000 is reported every 3 s
 * at most, which costs a node about 0.2 % of a core.
 */
export const MEMBERSHIP_BATCH_US_PER_MEMBER = 600;

/** Earlier lists that a node keeps, to tell others the difference only. */
export const FEED_HISTORY = 16;

/** A request for the list is held this long while there is nothing newer. */
export const FEED_HOLD_MS = 25_000;

/** And its answer takes this much longer at most. */
export const FEED_ANSWER_MS = 3_000;

/** A node that did not answer is passed over for this long. */
export const FEED_SKIP_MS = 60_000;

/** Shortest pause between two requests when the first one brought nothing. */
export const FEED_PAUSE_MS = 1_000;

/**
 * If no node answers, a node watches the source itself after up to this long, so that not all nodes
 * begin at once. It looks for a node that answers about this often.
 */
export const FEED_SPREAD_MS = 5_000;
export const FEED_RETRY_MS = 30_000;

/**
 * The source has not confirmed a list for this long: the list is out of date. Watches end every
 * KUBE_WATCH_SECONDS, and a list of 5,000 nodes takes four steps of FEED_HOLD_MS. A node then
 * watches the source itself after up to as long again: it is more likely down for all.
 */
export const FEED_STALE_MS = 5 * 60_000;

/** Requests for the list that one node holds at once; a node is to have FEED_FANOUT. */
export const FEED_HELD_MAX = 256;

/** EndpointSlices of each service that a node reads to find a node that has the list. */
export const FEED_PEEK_SLICES = 2;

/** Nodes that are asked for the first list before a node watches the source itself. */
export const FEED_FIRST_ASKS = 3;
