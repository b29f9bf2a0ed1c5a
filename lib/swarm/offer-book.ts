import { OFFER_KEEPERS, OFFER_REFRESH_MS } from './limits.ts';
import type { NodeId } from './types.ts';

/**
 * The blobs that a node still has to offer, and the nodes to offer them to. A blob's keepers are
 * the first nodes in the rank of its first shard. Each gets an offer once, and again before it
 * would forget it. When a node joins or leaves, the keepers of few blobs change, so few offers are
 * repeated.
 */
export class OfferBook {
  /** When a blob was last offered to each of its keepers. */
  #told = new Map<string, Map<NodeId, number>>();

  /**
   * The offers that are due, by keeper. `keys`: all blobs that this node offers now; others are
   * forgotten. `rankOf`: the nodes of a blob by rank, best first.
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

  /** These blobs were offered to `keeper`. */
  told(keeper: NodeId, keys: readonly string[], nowMs: number): void {
    for (const key of keys) this.#told.get(key)?.set(keeper, nowMs);
  }
}

/** The keepers of a blob. */
export function keepersOf(rank: readonly NodeId[]): readonly NodeId[] {
  return rank.slice(0, OFFER_KEEPERS);
}
