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
 * What a keeper knows of blobs that nodes have whole: for each blob the nodes that offered it last.
 * Bounded in blobs and in nodes for each; what was told longest ago goes first.
 */
export class HolderDirectory {
  readonly #blobs = new Map<string, Offer[]>();

  /** Blobs that somebody offers, or has offered lately. */
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
   * At most HOLDERS_NAMED_MAX nodes that offer a blob and satisfy `fits`. They begin at a place
   * drawn with `random`, so that who asks is spread over all.
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
