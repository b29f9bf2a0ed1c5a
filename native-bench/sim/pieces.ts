import { SHARD_BYTES } from '../../lib/limits.ts';
import { GATHER_BYTES_MAX } from '../../lib/io/limits.ts';
import { gatherMs } from '../../lib/swarm/shape.ts';

/** More pieces would be dear to simulate, and the bits of a number are what counts wrong ones. */
const QUANTA_MAX = 32;
const QUANTA_COARSE = 8;
/** Beyond so many shards sent in all, they are sent in QUANTA_COARSE pieces. */
const FINE_TRANSFERS_MAX = 40_000;
/** P95 comes out some 2 % longer with four pieces, never shorter. */
const QUANTA_HUGE = 4;
const HUGE_NODES_MIN = 3_000;

/**
 * In how many pieces a shard is passed on: as a node's transfer threads gather them from flows of
 * `flowBytesPerMs` (lib/io/gathering.ts), as far as the run is not too large for that.
 */
export function quantaFor(
  nodes: number,
  imageBytes: number,
  linkBytesPerMs: number,
  flowBytesPerMs: number = linkBytesPerMs,
): number {
  if (nodes > HUGE_NODES_MIN) return QUANTA_HUGE;
  if ((nodes * imageBytes) / SHARD_BYTES > FINE_TRANSFERS_MAX) return QUANTA_COARSE;
  const forMs = gatherMs(nodes, SHARD_BYTES / linkBytesPerMs);
  const pieceBytes = Math.min(GATHER_BYTES_MAX, flowBytesPerMs * forMs);
  return Math.min(QUANTA_MAX, Math.floor(SHARD_BYTES / pieceBytes));
}
