import {
  DIRECTORY_BLOBS_MAX,
  DIRECTORY_HOLDERS_MAX,
  HOLDERS_NAMED_MAX,
  OFFER_EXPIRES_MS,
} from './limits.ts';
import type { NodeId } from './types.ts';

/** A node that offers a blob, and when it last said so. */
interface Offer {
  node: NodeId;
  toldMs: number;
}

/**
 * The nodes that offered a blob, as its keeper knows them. Bounded in blobs, and in nodes for each;
 * the oldest offers are dropped first.
 */
export class HolderDirectory {
  readonly #blobs = new Map<string, Offer[]>();

  /** Blobs that are offered, or were recently. */
  get size(): number {
    return this.#blobs.size;
  }

  /** `node` has these blobs whole, and has verified them. */
  told(node: NodeId, keys: readonly string[], nowMs: number): void {
    for (const key of keys) {
      const offers = (this.#blobs.get(key) ?? []).filter((offer) => offer.node !== node);
      offers.push({ node, toldMs: nowMs });
      if (offers.length > DIRECTORY_HOLDERS_MAX) offers.shift();
      // The order of insertion is that of age.
      this.#blobs.delete(key);
      this.#blobs.set(key, offers);
    }
    for (const key of this.#blobs.keys()) {
      if (this.#blobs.size <= DIRECTORY_BLOBS_MAX) break;
      this.#blobs.delete(key);
    }
  }

  /**
   * At most HOLDERS_NAMED_MAX nodes that offer a blob and satisfy `fits`. The list begins at a
   * random place (`random`), to spread requests over all holders.
   */
  holders(
    key: string,
    nowMs: number,
    random: () => number,
    fits: (node: NodeId) => boolean,
  ): NodeId[] {
    const fresh = (this.#blobs.get(key) ?? []).filter(
      ({ node, toldMs }) => nowMs - toldMs < OFFER_EXPIRES_MS && fits(node),
    );
    const first = Math.floor(random() * fresh.length);
    return [...fresh.slice(first), ...fresh.slice(0, first)]
      .slice(0, HOLDERS_NAMED_MAX)
      .map(({ node }) => node);
  }
}
