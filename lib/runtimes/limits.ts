/** Bounds of lib/runtimes: each is named, has its unit last, and gives the reason for its value. */

/**
 * Nesting of a runtime's JSON config that is followed: real ones have a handful of levels, a
 * damaged one must not exhaust the stack.
 */
export const JSON_DEPTH_MAX = 200;

/**
 * Whether a Shoal node answers at an address is asked for so long: it is on loopback, or it is not
 * the one meant.
 */
export const PROBE_TIMEOUT_MS = 2_000;
