/** Bounds of lib/demo: each is named, has its unit last, and gives the reason for its value. */

/** A manifest, an index or a token is at most so long (distribution-spec 1.1: 4 MiB). */
export const PULL_DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;

/** A node of `shoal up` is ready well within this, even when 64 of them start on two cores. */
export const UP_READY_TIMEOUT_MS = 60_000;

/** Nodes of `shoal up` that have not ended this long after SIGTERM are killed. */
export const UP_STOP_TIMEOUT_MS = 10_000;

/**
 * Free ports are picked, then used: somebody may come in between, so often in a row they will not.
 */
export const UP_PORT_ATTEMPTS_MAX = 3;

/** Nodes of `shoal up` being started at once: more would only fight for the cores. */
export const UP_STARTS_AT_ONCE = 4;
