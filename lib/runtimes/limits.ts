/** Bounds of lib/runtimes. Each has a name, its unit last, and the reason for its value. */

/**
 * Nesting depth of a runtime's JSON config. Real files have a few levels; a damaged one must not
 * exhaust the stack.
 */
export const JSON_DEPTH_MAX = 200;

/** Deadline for the answer of a node. It is on loopback, or it is not the right node. */
export const PROBE_TIMEOUT_MS = 2_000;
