/** Bounds of lib/runtimes. Each has a name, its unit last, and the reason for its value. */

/** Deadline for the answer of a node. It is on loopback, or it is not the right node. */
export const PROBE_TIMEOUT_MS = 2_000;

/**
 * Period of the sign of life that keeps a node in hosts.toml. With PROBE_TIMEOUT_MS it bounds how
 * long new pulls may hang at a silent node.
 */
export const NODE_PROBE_MS = 2_000;

/** Pause after a change of hosts.toml, so that a program that writes several files is done. */
export const HOSTS_SETTLE_MS = 100;

/** How long a node that is starting is waited for, and how often it is asked meanwhile. */
export const NODE_START_MS = 15_000;
export const NODE_START_POLL_MS = 250;
