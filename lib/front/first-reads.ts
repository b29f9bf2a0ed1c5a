import { SLOT_PAGES, type Arena } from '../io/arena.ts';
import { SHARD_BYTES } from '../limits.ts';

const PAGE_BYTES = SHARD_BYTES / SLOT_PAGES;
/**
 * Shorter reads claim no page, except at the end of the shard: a probe for the size is not a read.
 */
const CLAIM_BYTES_MIN = 4096;

/**
 * Distinguishes bytes that reach a client for the first time since their shard was loaded from
 * bytes that some client has read before. The former count for the shard's source, the latter for
 * memory, so the bytes of a pull count once, whether its shards were read ahead or not. Tracked per
 * page of 64 KiB: a read that starts within a page claimed by another read counts for memory from
 * there on.
 */
export class FirstReads {
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /**
   * Number of bytes in [fromBytes, toBytes) of the slot that are read for the first time.
   * `ownsFirst`: the reader claimed the page of its first byte with its previous read. `ownsLast`
   * returns the same for the page of its last byte.
   */
  take(slot: number, fromBytes: number, toBytes: number, ownsFirst: boolean): FirstRead {
    const first = Math.floor(fromBytes / PAGE_BYTES);
    const last = Math.floor((toBytes - 1) / PAGE_BYTES);
    const pages = pageMask(first, last);
    // As a rule all has been read before, and a look is cheaper than a claim.
    if (!ownsFirst && (pages & ~this.#arena.claimedPages(slot)) === 0) return NOTHING_NEW;
    const claimed =
      toBytes - fromBytes < CLAIM_BYTES_MIN && toBytes !== this.#arena.length(slot)
        ? pages & ~this.#arena.claimedPages(slot)
        : this.#arena.claimPages(slot, pages);
    const fresh = ownsFirst ? claimed | pageMask(first, first) : claimed;
    const ownsLast = (fresh & pageMask(last, last)) !== 0;
    if ((fresh & pages) === pages) return { bytes: toBytes - fromBytes, ownsLast };
    let bytes = 0;
    for (let page = first; page <= last; page++)
      if ((fresh & pageMask(page, page)) !== 0)
        bytes +=
          Math.min(toBytes, (page + 1) * PAGE_BYTES) - Math.max(fromBytes, page * PAGE_BYTES);
    return { bytes, ownsLast };
  }
}

interface FirstRead {
  readonly bytes: number;
  readonly ownsLast: boolean;
}

const NOTHING_NEW: FirstRead = { bytes: 0, ownsLast: false };

/** Bits `first` to `last` of an int32. */
function pageMask(first: number, last: number): number {
  return (-1 >>> (SLOT_PAGES - 1 - (last - first))) << first;
}
