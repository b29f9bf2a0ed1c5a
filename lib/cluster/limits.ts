/** Bounds of lib/cluster: each is named, has its unit last, and gives the reason for its value. */

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

/** A node waits so long for the first view of its cluster, then starts without one. */
export const MEMBERSHIP_START_TIMEOUT_MS = 5_000;

/** The headless service's name is resolved again this often (discovery `dns`). */
export const DNS_REFRESH_MS = 3_000;

/**
 * Names of passwords that nodes ask each other by, remembered, and waiting to be made: 50 ms each,
 * one at a time.
 */
export const CREDENTIAL_NAMES_MAX = 1_024;
export const CREDENTIAL_NAMES_WAITING_MAX = 32;
