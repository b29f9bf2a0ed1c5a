import type { OriginTarget } from '../../origin-target.ts';
import type { OriginWant } from '../../swarm/origin-queue.ts';
import type { OriginReadResult } from '../../workers/origin-read.ts';
import type { Filling } from './transfers.ts';

/** How a shard is read at its origin. */
export interface ReadHow {
  /** Where in the shard a client waits; null: no client does. */
  sliceBytes: number | null;
  /** Whether this node reads for no others (OriginAsk). */
  alone: boolean;
  /** Whether it is another node's request that made this node read. */
  isOnBehalf: boolean;
  /** Whether one answer may bring all that is left. */
  mayStream?: boolean;
}

/** One shard's read at the origin, waiting or running. */
export interface OriginRead extends OriginWant {
  readonly target: OriginTarget;
  readonly filling: Filling;
  readonly sliceBytes: number | null;
  readonly object: ObjectReads;
  readonly mayStream: boolean;
  /** Its state: in the queue, waiting for the first answer, sent, or settled. */
  state: 'queued' | 'held' | 'sent' | 'over';
  settle: (result: OriginReadResult) => void;
}

/** The reads of one object that have not ended. */
export interface ObjectReads {
  readonly name: string;
  readonly reads: Set<OriginRead>;
  /** What the head of an answer has told, while others of the object still come or wait. */
  sizeBytes: number | null;
  /**
   * The read whose answer shows whether the origin serves parts, or opens a stream. The others wait
   * for its head.
   */
  pioneer: OriginRead | 'hold' | null;
}
