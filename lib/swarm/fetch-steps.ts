import type { AskRole, FetchResult, NodeId } from './types.ts';

/** What a fetch can do next; Outcomes and Verification choose. */
export interface FetchSteps {
  /** Asks the next source. */
  go(): void;
  /** Reads from a parent that was named. */
  readParent(node: NodeId): void;
  /** Asks the next source in about `ms`, as another node said. */
  wait(ms: number): void;
  /** Asks the next source in `ms`. */
  pause(ms: number): void;
  /** A stat is under way. */
  checking(): void;
  /** Not from this node again; `late`: only because it was late. Then asks the next source. */
  passOver(node: NodeId, role: AskRole | 'origin', late?: boolean): void;
  /** Ends, when nothing writes any more. */
  close(result: FetchResult): void;
}
