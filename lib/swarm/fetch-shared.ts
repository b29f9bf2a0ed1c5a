import type { Arrivals } from './arrivals.ts';
import type { Caution } from './caution.ts';
import type { PeerHealth } from './health.ts';
import type { Pace } from './pace.ts';
import type { Membership } from './rank.ts';
import type { Soundings } from './soundings.ts';
import type {
  Fetch,
  OriginRef,
  FetchEffects,
  FetchResult,
  Member,
  NodeId,
  SwarmEvent,
} from './types.ts';

/** What one fetch begins with. */
export interface FetchOptions {
  origin: OriginRef | null;
  /** Hops of the request that made this node fetch. */
  hops: number;
  /** Owners and roots passed over from the start. */
  passed: readonly NodeId[];
  /** Nodes that offer the whole blob. */
  holders: readonly NodeId[];
  /** Whether this node has left the shard to the next owner. */
  isYielded: boolean;
}

/** What the fetches of a node share. */
export interface FetchShared {
  self: Member;
  membership(): Membership;
  health: PeerHealth;
  caution: Caution;
  pace: Pace;
  arrivals: Arrivals;
  soundings: Soundings;
  effects: FetchEffects;
  nowMs: () => number;
  random: () => number;
  observe: (event: SwarmEvent, node: NodeId | null) => void;
  /** These may be asked next: finds out whether they are there. */
  lookAhead(nodes: readonly NodeId[]): void;
  /** Children this node is sending to now. */
  load: () => number;
  /** The fetch is over. It leaves the tables of the node before the driver is called. */
  over(fetch: Fetch, result: FetchResult): void;
}

/** The state of a fetch; fetch.ts draws how they follow each other. */
export type Phase =
  | 'new'
  /** The attempt has ended, the next step is being found: only within a call. */
  | 'between'
  /** An attempt is under way. */
  | 'reading'
  /** An attempt was told to stop and has not ended yet. */
  | 'leaving'
  /** Nothing is under way until a time that is set. */
  | 'waiting'
  /** A stat is under way. */
  | 'checking'
  | 'over';
