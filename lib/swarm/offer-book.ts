import { OFFER_KEEPERS, OFFER_REFRESH_MS } from './limits.ts';
import type { NodeId } from './types.ts';

/**
 * Which blobs a node still has to offer, and to whom. A blob's keepers are the first nodes in the
 * rank of its first shard; each is told once, and again before it would forget. A node that comes
 * or goes changes the keepers of few blobs, so only those are told anew.
 */
export class OfferBook {
  /** When each keeper of a blob was told of it. */
  #told = new Map<string, Map<NodeId, number>>();

  /**
   * The offers that are due, by keeper. `keys`: all blobs this node offers now; what is not among
   * them is forgotten. `rankOf`: the nodes of a blob's rank, best first.
   */
  due(
    keys: Iterable<string>,
    rankOf: (key: string) => readonly NodeId[],
    nowMs: number,
  ): Map<NodeId, string[]> {
    const due = new Map<NodeId, string[]>();
    const kept = new Map<string, Map<NodeId, number>>();
    for (const key of keys) {
      const before = this.#told.get(key);
      const now = new Map<NodeId, number>();
      for (const keeper of keepersOf(rankOf(key))) {
        const toldMs = before?.get(keeper);
        if (toldMs !== undefined && nowMs - toldMs < OFFER_REFRESH_MS) {
          now.set(keeper, toldMs);
          continue;
        }
        const blobs = due.get(keeper);
        if (blobs === undefined) due.set(keeper, [key]);
        else blobs.push(key);
      }
      kept.set(key, now);
    }
    this.#told = kept;
    return due;
  }

  /** `keeper` has been told of these blobs. */
  told(keeper: NodeId, keys: readonly string[], nowMs: number): void {
    for (const key of keys) this.#told.get(key)?.set(keeper, nowMs);
  }
}

/** The nodes that keep who has a blob. */
export function keepersOf(rank: readonly NodeId[]): readonly NodeId[] {
  return rank.slice(0, OFFER_KEEPERS);
}
