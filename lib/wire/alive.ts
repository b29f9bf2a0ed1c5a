/**
 * Whether a node is there, asked of one that holds requests, or before one is asked again
 * (lib/swarm/soundings.ts):
 *
 *   GET /rpc/alive     200 {}
 *
 * Any answer of that node will do: one that does not know the request refuses it, and is there.
 */
export const ALIVE_PATH = '/rpc/alive';
