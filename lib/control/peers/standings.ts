import type { WireError } from '../../errors.ts';
import type { PeerCondition } from '../../swarm/types.ts';
import type { PeerState } from '../../telemetry/peer-states.ts';

/** Codes with which a node refuses this one as no member of its cluster. */
const ESTRANGED = new Set(['PEER_UNAUTHORIZED', 'PEER_VERSION', 'PEER_ADDRESS']);

/**
 * Which peers have sent answers or requests, and which have refused this node as a stranger. Status
 * adds this to the conditions of the swarm core, which only knows which peers to avoid. Holds
 * members only.
 */
export class PeerStandings {
  readonly #heard = new Map<string, 'answers' | 'unauthorized'>();
  readonly #estranged: (node: string, error: WireError) => void;

  /** `estranged` is called when a node starts to refuse this one. */
  constructor(estranged: (node: string, error: WireError) => void) {
    this.#estranged = estranged;
  }

  /** `node` answered a request, or sent a correctly signed one. */
  answered(node: string): void {
    this.#heard.set(node, 'answers');
  }

  /** A request to `node` failed. */
  failed(node: string, error: WireError): void {
    if (!ESTRANGED.has(error.code) || this.#heard.get(node) === 'unauthorized') return;
    this.#heard.set(node, 'unauthorized');
    this.#estranged(node, error);
  }

  keep(members: readonly { node: string }[]): void {
    const known = new Set(members.map(({ node }) => node));
    for (const node of this.#heard.keys()) if (!known.has(node)) this.#heard.delete(node);
  }

  stateOf(node: string, condition: PeerCondition): PeerState {
    const heard = this.#heard.get(node);
    if (condition === 'quarantined') return 'quarantined';
    if (heard === 'unauthorized') return 'unauthorized';
    if (condition !== 'good') return condition;
    return heard === undefined ? 'unknown' : 'up';
  }
}
