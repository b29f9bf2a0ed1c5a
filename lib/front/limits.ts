/** Bounds of lib/front. */
import { SHARD_BYTES } from '../limits.ts';

/** Minimum that a throttled sender takes at once: a pread of overlaybd is not split. */
export const WRITE_STEP_BYTES = 64 * 1024;

/**
 * Maximum that a throttled sender takes at once, as time on the line: short for fairness, long for
 * few writes at high limits.
 */
export const THROTTLE_STEP_MS = 0.5;

/**
 * Tokens that an idle throttle accumulates: timers fire some milliseconds late, and the line must
 * not idle meanwhile.
 */
export const THROTTLE_BURST_MS = 20;

/**
 * Bytes that a front writes in one tick of its event loop over all connections: 1.2 ms of CPU time.
 */
export const TURN_BYTES = 4 * 1024 * 1024;

/**
 * Part of a reader's first shard that is here when control requests the others. Then its sender
 * sends it before all others, and nodes far down a chain do not wait for one shard after the other.
 */
export const READ_AHEAD_FROM = 1 / 16;

/**
 * A read of at most this size is woken for each piece, without batching: overlaybd reads 64 KiB,
 * rarely more.
 */
export const BRIEF_READ_BYTES_MAX = 256 * 1024;

/** Granted requests that a front remembers, to answer warm reads without asking control. */
export const WARM_REQUESTS_MAX = 8192;

/**
 * The most recent of them are found without hashing: as many as a node reads layers at once, and
 * few enough to scan.
 */
export const WARM_RECENT_MAX = 8;

/** Blobs whose shard places a front remembers. */
export const WARM_BLOBS_MAX = 2048;

/**
 * A read of at most this size counts as one of many small ones. Larger ranges announce what comes
 * next.
 */
export const SMALL_READ_BYTES_MAX = SHARD_BYTES / 2;

/**
 * Lifetime of a node's CA and of the proxy's certificate, which is renewed when less than a third
 * is left.
 */
export const PROXY_CA_DAYS = 3_650;
export const PROXY_LEAF_DAYS = 365;
export const PROXY_LEAF_RENEW_MS = 120 * 86_400_000;

/**
 * Log lines per second that a front writes about client behavior; further ones are only counted.
 */
export const NOTICES_PER_SECOND_MAX = 10;

/** Delay after which reads answered from warm memory are reported to control. */
export const READ_TALLY_MS = 500;

/** Blobs in one such report. */
export const READ_TALLY_BLOBS_MAX = 200;

/**
 * An upload whose receiver took nothing for this long lets others go first: it is the receiver that
 * is slow, not the line.
 */
export const UPLOAD_STUCK_MS = 500;

/**
 * An upload that has begun and waits for others sends so much this often, at least. A receiver
 * takes silence within a shard for a dead sender (PEER_PROGRESS_BYTES in PEER_SILENCE_MS).
 */
export const UPLOAD_ALIVE_MS = 1_000;
export const UPLOAD_ALIVE_BYTES = 8 * 1024;

/**
 * How often one answer asks which size is right. The first question brings the blob of that size; a
 * contradiction after that comes from another source under way at the same time.
 */
export const SIZE_QUESTIONS_MAX = 3;

/** Time over which it is measured how full the line is on which a node sends. */
export const UPLINK_WINDOW_MS = 250;

/** Share of the line's best rate below which one more upload is let go. */
export const UPLINK_FULL = 0.65;

/**
 * So many times the rate must have come from the upload let go before; if not, the next one waits
 * until UPLINK_TRIAL_MS after it.
 */
export const UPLINK_GAIN = 1.1;
export const UPLINK_TRIAL_MS = 1_000;

/** What is left of the best rate after a window that did not reach it. */
export const UPLINK_KEEP = 0.99;

/** Tests of other nodes' lines that a front answers at once, and how long each may take. */
export const LINE_ANSWERS_MAX = 8;
export const LINE_ANSWER_MS = 5_000;
