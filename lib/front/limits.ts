/** Bounds of lib/front: each is named, has its unit last, and gives the reason for its value. */
import { SHARD_BYTES } from '../limits.ts';

/** The least a throttled sender may take at once: a pread of overlaybd's is not cut up. */
export const WRITE_STEP_BYTES = 64 * 1024;

/**
 * A throttled sender takes at most what the line carries in this time: short for fairness, long for
 * few writes at high limits.
 */
export const THROTTLE_STEP_MS = 0.5;

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
 * A read of at most so much is one of many small ones; larger ones say themselves what comes next.
 */
export const SMALL_READ_BYTES_MAX = SHARD_BYTES / 2;

/**
 * Life of a node's own CA, and of the proxy's certificate under it, which is renewed when less than
 * a third is left.
 */
export const PROXY_CA_DAYS = 3_650;
export const PROXY_LEAF_DAYS = 365;
export const PROXY_LEAF_RENEW_MS = 120 * 86_400_000;

/** Lines a front puts into the log per second about what clients do; the rest is only counted. */
export const NOTICES_PER_SECOND_MAX = 10;

/** Reads answered from warm memory are told to control this long after the first of them. */
export const READ_TALLY_MS = 500;

/** Blobs in one such message. */
export const READ_TALLY_BLOBS_MAX = 200;
