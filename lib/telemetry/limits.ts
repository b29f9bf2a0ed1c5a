/** Bounds of lib/telemetry. */

/**
 * Rows of counters: control, a few fronts, the pools, and spare rows for replaced threads.
 */
export const METER_ROWS_MAX = 32;

/**
 * Window of throughput, QPS and MaxLatency: steady enough to read, short enough to show a stall.
 */
export const RATE_WINDOW_SECONDS = 5;

/**
 * Curves: the last 120 points as they come, and an hour in steps of 10 s, less half a tick of
 * slack.
 */
export const HISTORY_FINE_POINTS_MAX = 120;
export const HISTORY_STEP_MS = 9_500;
export const HISTORY_POINTS_MAX = 360;

/** Distinct errors remembered for the status page; repeats are counted, not stored. */
export const RECENT_ERRORS_MAX = 50;

/** One error message on the status page and in the log. */
export const ERROR_MESSAGE_CHARS_MAX = 300;

/** Peers with a rate of their own: every node of the largest cluster simulated. */
export const PEER_RATES_MAX = 10_000;

/** Audit bytes a thread collects before it hands them over: about 500 lines, one message. */
export const AUDIT_BATCH_BYTES = 128 * 1024;

/** Audit lines are handed over after this time at the latest. */
export const AUDIT_FLUSH_MS = 250;

/**
 * Audit bytes on their way to control, or waiting for disk or pipe; further lines are dropped and
 * counted.
 */
export const AUDIT_SINK_BYTES_MAX = 8 * 1024 * 1024;

/** audit.log is rotated at this size or age; this many old files are kept. */
export const AUDIT_FILE_BYTES_MAX = 100 * 1024 * 1024;
export const AUDIT_FILE_AGE_HOURS = 24;
export const AUDIT_FILES_MAX = 5;

/** A log file that failed is tried again after this time. */
export const LOG_REOPEN_MS = 10_000;

/** A node that ends waits this long for the reader of its log. */
export const LOG_CLOSE_TIMEOUT_MS = 2_000;

/** A node that ends waits this long for the collector of its traces. */
export const TRACE_CLOSE_TIMEOUT_MS = 2_000;

/** Log lines waiting for a slow reader of stdout; beyond it they are dropped. */
export const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** Peers in trouble, images and blobs that a summary names: a row of the swarm's table. */
export const SUMMARY_TROUBLED_MAX = 8;
export const SUMMARY_IMAGES_MAX = 8;
export const SUMMARY_BLOBS_MAX = 4;

/** A node that pulls tells its summary every 2 s; one that is not heard for so long is silent. */
export const SILENT_AFTER_MS = 50_000;

/** A node is slow below this share of the median rate of those that pull. */
export const SLOW_SHARE = 1 / 3;
