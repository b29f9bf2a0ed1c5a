/**
 * States of a peer, the worst first. `unauthorized`: it does not accept this node's requests;
 * `cooling`: avoided after failures; `unknown`: nothing was heard from it yet.
 */
export const peerStates = [
  'quarantined',
  'unauthorized',
  'cooling',
  'slow',
  'unknown',
  'up',
] as const;
export type PeerState = (typeof peerStates)[number];
