/**
 * Bounds of lib/telemetry: each is named, has its unit last, and gives the reason for its value.
 */

/**
 * Threads that count: control, a few fronts, the pools with spare rows for threads that were
 * replaced.
 */
export const METER_ROWS_MAX = 32;

/** Throughput, QPS and MaxLatency look back this far: steady to the eye, quick to show a stall. */
export const RATE_WINDOW_SECONDS = 5;

/** The live page's curves: a point every 5 s over 15 minutes. */
export const HISTORY_STEP_SECONDS = 5;
export const HISTORY_POINTS_MAX = 180;

/** Distinct errors remembered for the status page; repeats are counted, not stored. */
export const RECENT_ERRORS_MAX = 50;

/** One error message on the status page and in the log. */
export const ERROR_MESSAGE_CHARS_MAX = 300;

/** Other nodes whose rate is followed: every node of the largest cluster simulated. */
export const PEER_RATES_MAX = 10_000;

/** Audit lines a thread holds before it hands them over; ~500 lines, one message and one write. */
export const AUDIT_BATCH_BYTES = 128 * 1024;

/** The oldest audit line a thread holds is handed over after this time. */
export const AUDIT_FLUSH_MS = 250;

/**
 * Audit lines on their way to control or waiting for the disk or the pipe; beyond it they are
 * dropped and counted.
 */
export const AUDIT_SINK_BYTES_MAX = 8 * 1024 * 1024;

/** audit.log turns over at this size or age, and so many old ones are kept. */
export const AUDIT_FILE_BYTES_MAX = 100 * 1024 * 1024;
export const AUDIT_FILE_AGE_HOURS = 24;
export const AUDIT_FILES_MAX = 5;

/** An audit file, or a file the log goes into, that failed is tried again after this time. */
export const LOG_REOPEN_MS = 10_000;

/** A node that ends waits so long for the reader of its log, then goes without. */
export const LOG_CLOSE_TIMEOUT_MS = 2_000;

/** Log lines waiting for a slow reader of stdout; beyond it they are dropped. */
export const LOG_BYTES_MAX = 16 * 1024 * 1024;
