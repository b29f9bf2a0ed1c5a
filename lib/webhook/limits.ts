/** Bounds of lib/webhook. Each has a name, its unit last, and the reason for its value. */

/**
 * Total size of one object's annotations, keys and values. The API refuses more (Kubernetes,
 * "Annotations").
 */
export const ANNOTATIONS_BYTES_MAX = 256 * 1024;

/**
 * Deadline of an admission review. The API server waits 5 s (timeoutSeconds in the chart),
 * including the round trip.
 */
export const ADMISSION_DEADLINE_MS = 4_000;

/**
 * Idle connections are kept this long. The API server closes its own after 90 s, so it closes
 * first.
 */
export const ADMISSION_IDLE_MS = 120_000;

/**
 * The API server accepts requests of up to 3 MiB; a review contains the object as JSON and its
 * envelope.
 */
export const ADMISSION_BODY_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Concurrent reviews. The API server's default limit for mutating requests is 200, and there are
 * two or three servers.
 */
export const ADMISSION_REVIEWS_MAX = 1_000;

/**
 * Attempts to write a copy that another writer changes at the same time; after that the controller
 * retries.
 */
export const COPY_ATTEMPTS_MAX = 4;

/**
 * Copies that the controller writes concurrently, so that thousands of namespaces do not flood the
 * API server.
 */
export const COPIES_AT_ONCE = 8;

/** Events in flight at once; beyond that they are dropped and counted. */
export const EVENTS_AT_ONCE = 16;

/**
 * The same reason for the same object is reported this often: Events live for an hour by default.
 */
export const EVENT_REPEAT_MS = 30 * 60_000;

/**
 * Reported reasons that are remembered, so that a rollout of thousands of pods writes few Events.
 */
export const EVENTS_REMEMBERED = 4_096;

/** First and longest pause before the controller retries a failed copy. */
export const COPY_RETRY_MS_MIN = 500;
export const COPY_RETRY_MS_MAX = 60_000;

/**
 * Leader election with the ecosystem's usual times: lease duration, renew deadline, retry period.
 */
export const LEASE_DURATION_MS = 15_000;
export const LEASE_RENEW_DEADLINE_MS = 10_000;
export const LEASE_RETRY_MS = 2_000;

/** Validity of the webhook's authority and leaf, and how long before its end each is renewed. */
export const AUTHORITY_VALID_DAYS = 3_650;
export const AUTHORITY_RENEW_BEFORE_MS = 365 * 86_400_000;
export const LEAF_VALID_DAYS = 90;
export const LEAF_RENEW_BEFORE_MS = 30 * 86_400_000;

/**
 * Certificates start this long before they are created, because clocks of control plane and nodes
 * differ.
 */
export const CERTIFICATE_BACKDATE_MS = 5 * 60_000;

/**
 * A new authority signs leaves only after this time, when every API server has read the new CA
 * bundle.
 */
export const AUTHORITY_SETTLE_MS = 60_000;

/** Period of the certificate check, in addition to watch events. */
export const CERTIFICATE_CHECK_MS = 60_000;

/**
 * After SIGTERM the webhook keeps serving this long, until the API servers have removed its
 * endpoint.
 */
export const WEBHOOK_DRAIN_MS = 5_000;

/** Remembered answers about nodes, by what pods ask of them: one for each workload at most. */
export const NODE_ANSWERS_MAX = 1_024;
