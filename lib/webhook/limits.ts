/** Bounds of lib/webhook: each is named, has its unit last, and gives the reason for its value. */

/**
 * Annotations of one object, keys and values together: the API refuses the object beyond it
 * (Kubernetes, "Annotations").
 */
export const ANNOTATIONS_BYTES_MAX = 256 * 1024;

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
