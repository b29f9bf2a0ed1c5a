/** Bounds of lib/node: each is named, has its unit last, and gives the reason for its value. */

/**
 * With fewer descriptors than this all threads are started before the node serves: later, clients
 * may hold the descriptors that a thread needs. The default limit of systems is higher.
 */
export const DESCRIPTORS_AMPLE = 1_024;

/**
 * Descriptors that a node with one front thread needs: 50 at rest, the others for some clients, the
 * registry, peers and files.
 */
export const DESCRIPTORS_MIN = 64;

/** A further front thread has its event loop, its listeners and some connections. */
export const DESCRIPTORS_PER_FRONT = 16;

/**
 * Descriptors for the registry, other nodes and files: two transfer threads and a front with 128
 * jobs each, and the connections they keep.
 */
export const DESCRIPTORS_RESERVED = 1_024;

/** Connections of clients and peers that are accepted in any case. */
export const CONNECTIONS_MIN = 4;

/**
 * A front thread that ends is replaced, unless so many have ended within FRONT_DEATHS_MS: then the
 * node exits, and its supervisor starts it again.
 */
export const FRONT_DEATHS_MAX = 5;
export const FRONT_DEATHS_MS = 60_000;

/** Length of a profile that names none, and of the longest: V8 keeps it in memory. */
export const PROFILE_SECONDS = 10;
export const PROFILE_SECONDS_MAX = 120;
