/** One connection, request or look-up of the doctor ends within this time. */
export const CHECK_TIMEOUT_MS = 5_000;

/** Peers that are asked; a cluster's other nodes are found the same way. */
export const CHECK_PEERS_MAX = 20;

/** Written and synced to measure the cache disk: long enough to pass a small device cache. */
export const CHECK_DISK_BYTES = 32 * 1024 * 1024;

/** A slower disk holds up pulls on a line of 1 Gbit/s. */
export const DISK_BYTES_PER_SECOND_MIN = 100e6;

/** Of an answer this much is read; lists and manifests are shorter. */
export const ANSWER_CHARS_MAX = 4 * 1024 * 1024;

/** A clock that differs more is warned about: it drifts toward what nodes refuse. */
export const CLOCK_SKEW_NOTICED_MS = 10_000;
