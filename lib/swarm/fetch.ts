import type { AttemptResult, Fetch, FetchContext, NodeId, StatResult } from './types.ts';

/** What a driver calls on a fetch. */
export interface FetchEvents extends Fetch {
  /** Attempt `attempt` has ended; nothing of it writes any more. */
  settle(attempt: number, result: AttemptResult): void;
  settleStat(attempt: number, result: StatResult): void;
  /** Another way to the origin, newest tried first. */
  offer(context: FetchContext): void;
  /** The node the bytes come from now; null: the origin, or nobody yet. */
  readonly source: NodeId | null;
}

export type ShardFetch = FetchEvents;
