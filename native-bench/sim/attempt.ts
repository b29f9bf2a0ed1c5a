import { errorTable, type ErrorCode, type WireError } from '../../lib/errors.ts';
import type { ShardFetch } from '../../lib/swarm/fetch.ts';
import type { Swarm } from '../../lib/swarm/swarm.ts';
import type {
  AskRequest,
  AttemptResult,
  OriginRef,
  AskWaits,
  StatResult,
} from '../../lib/swarm/types.ts';
import type { Flow, Station, Supply } from './network.ts';

export type Condition = 'well' | 'dead' | 'unplugged' | 'frozen';

/** The node that an attempt asks. */
export interface Asked {
  readonly condition: Condition;
  readonly station: Station;
  readonly swarm: Swarm;
  /** Whether it runs, and may say "busy". */
  readonly isThere: boolean;
}

/** One attempt of a fetch, from its request to its end. */
export interface Attempt {
  number: number;
  fetch: ShardFetch;
  node: Asked | null;
  flow: Flow | null;
  beganMs: number;
  waits: AskWaits;
  over: boolean;
}

/** Where a fetch's bytes gather, and who waits for them. */
export interface Place {
  supply: Supply;
  attempt: Attempt | null;
  /** Asked for the checksum before it was known. */
  stats: { answer: (result: StatResult) => void; sinceMs: number }[];
  /** Flows to children that have not been told how it ends. */
  serving: Set<Serving> | null;
}

/** A child being sent a shard. */
export interface Serving {
  request: AskRequest;
  flow: Flow;
  refuse: (result: AttemptResult) => void;
}

export const CONTEXT: OriginRef = { id: 'client' };

export function error(code: ErrorCode, message = code): WireError {
  return { code, message, status: errorTable[code].status };
}
