import type { NodeId, ShardId, SwarmEvent } from '../../lib/swarm/types.ts';
import type { Flow, Network, Supply } from './network.ts';
import type { Origin } from './origin.ts';

/** What a simulated node sees of all that is around it. */
export interface World<Node> {
  readonly network: Network;
  readonly origin: Origin;
  /** The image's shards; one blob's indices run through all layers. */
  readonly shards: readonly ShardId[];
  readonly stats: { asks: number; stats: number };
  readonly delayMs: number;
  readonly tickMs: number;
  readonly nowMs: () => number;
  readonly observe: (event: SwarmEvent) => void;
  node(name: NodeId): Node;
  lengthBytes(index: number): number;
  totalBytes(shard: ShardId): number;
  /** A shard's bytes: an empty place for them, or the one that stands for all whole copies. */
  supply(index: number, whole: boolean): Supply;
  after(ms: number, happening: () => void): void;
  /** A request from one node to another and the answer back, or the way it fails. */
  exchange<T>(
    from: Node,
    to: Node,
    ask: (answer: (value: T) => void) => void,
    failed: (code: 'PEER_UNREACHABLE' | 'PEER_TIMEOUT') => void,
    answered: (value: T) => void,
  ): void;
  /** The sender of a flow has died: its receiver sees the connection break. */
  breakOff(flow: Flow): void;
}
