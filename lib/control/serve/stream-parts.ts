import type { Share } from '../../share-queue.ts';
import type { BlobFacts } from '../shards/blob-facts.ts';
import type { ShardLoader } from '../shards/loader.ts';
import type { FetchOptions } from '../shards/resident.ts';
import type { Gate } from '../upstream/access-gate.ts';
import type { LayerGate } from './layer-gate.ts';
import type { ReadAhead } from './read-ahead.ts';
import type { ReadTrace } from './read-trace.ts';

/** What the streams of a node share. */
export interface StreamParts {
  loader: ShardLoader;
  gate: Gate;
  layers: LayerGate;
  /** See LoaderParts. */
  shareOf(options: FetchOptions): Share;
  facts: BlobFacts;
  /**
   * Read-ahead over many small requests of a blob; that of one long request is its stream's own.
   */
  ahead: Pick<ReadAhead, 'read'>;
  /** Records which shards small reads needed. */
  trace: Pick<ReadTrace, 'note' | 'last'>;
  /**
   * Slots of memory in all; the open streams of all fronts share half of them for read-ahead.
   */
  slotCount: number;
  open: { streams: number };
  nowMs(): number;
  /**
   * Tells by a shard's index whether this node passes it on to others; such shards are read
   * earlier (lib/swarm/window.ts).
   */
  innerShards(): (shard: number) => boolean;
  /** How many shards read ahead may be in one request now. */
  shardsTogether(): number;
  /** See Swarm.readsAheadAtOnce. */
  readsAheadAtOnce(): boolean;
}
