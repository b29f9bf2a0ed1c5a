import { SLOT_PAGES, type Arena } from '../io/arena.ts';
import { SHARD_BYTES } from '../limits.ts';

const PAGE_BYTES = SHARD_BYTES / SLOT_PAGES;
/** Shorter reads claim no page, except at the shard's end: a probe for the size is not a read. */
const CLAIM_BYTES_MIN = 4096;

/**
 * Tells bytes that reach a client for the first time since their shard came into memory from bytes
 * that one has read before: the first count for the shard's source, the others for memory. So the
 * bytes of a pull count once, whether its shards were read ahead or not. Kept per page of 64 KiB; a
 * read that begins in the middle of a page claimed by another counts for memory from there on.
 */
export class FirstReads {
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /**
   * How many of the slot's bytes [fromBytes, toBytes) are read for the first time. `ownsFirst`: the
   * reader itself claimed the page it begins in, with its last read. `ownsLast` says so of the page
   * it ends in.
   */
  take(slot: number, fromBytes: number, toBytes: number, ownsFirst: boolean): FirstRead {
    const first = Math.floor(fromBytes / PAGE_BYTES);
    const last = Math.floor((toBytes - 1) / PAGE_BYTES);
    const pages = pageMask(first, last);
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

export interface FirstRead {
  bytes: number;
  ownsLast: boolean;
}

/** Bits `first` to `last` of an int32. */
function pageMask(first: number, last: number): number {
  return (-1 >>> (SLOT_PAGES - 1 - (last - first))) << first;
}
