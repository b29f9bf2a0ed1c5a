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
