import type { PreadPattern } from '../../lib/commands/bench.ts';
import type { Random } from '../sim/random.ts';

/**
 * Spreads neighbouring ranks over the object (a multiplicative hash, Knuth 6.4), so that what is
 * hot is not also contiguous.
 */
const SCATTER = 2_654_435_761;

/**
 * Where each next read starts: multiples of `sizeBytes` inside an object of `totalBytes`.
 *
 * `sequential`: each connection reads on from its own place, all of them spread evenly, round and
 * round. `zipf`: the block of rank r is read about 1/r as often as the first (exponent 1, by
 * inversion of the log-uniform density).
 */
export function offsetsOf(
  pattern: PreadPattern,
  sizeBytes: number,
  totalBytes: number,
  random: Random,
  connection: { index: number; count: number },
): () => number {
  const blocks = Math.max(1, Math.floor(totalBytes / sizeBytes));
  switch (pattern) {
    case 'random':
      return () => random.below(blocks) * sizeBytes;
    case 'zipf':
      return () => {
        const rank = Math.min(blocks, Math.floor((blocks + 1) ** random.next())) - 1;
        return Number((BigInt(rank) * BigInt(SCATTER)) % BigInt(blocks)) * sizeBytes;
      };
    case 'sequential': {
      let block = Math.floor((connection.index * blocks) / connection.count);
      return () => {
        const at = (block % blocks) * sizeBytes;
        block = (block + 1) % blocks;
        return at;
      };
    }
  }
}
