import type { WireError } from '../errors.ts';
import { CORRUPTIONS_MAX, STAT_MISSES_MAX } from './limits.ts';
import type { FetchShared } from './fetch-shared.ts';
import { wireError } from './origin-tries.ts';
import { Provenance } from './provenance.ts';
import type { Sources } from './sources.ts';
import type { AttemptResult, FetchResult, NodeId, ShardId } from './types.ts';

/** All bytes of a shard. */
export type Whole = Extract<AttemptResult, { kind: 'data' }>;

/** The consequence of wrong bytes: where to read again from, and which node to report to which. */
export interface Blame {
  error: WireError;
  fromBytes: number;
  /** Too often by now. */
  hopeless: boolean;
  /** The owner, if a single sender is to be reported to it. */
  tell: { owner: NodeId; liar: NodeId } | null;
}

/**
 * Whether the bytes of one fetch are the owner's: the complete shard, the owner's checksum, and the
 * sender of each part.
 */
export class Integrity {
  readonly provenance = new Provenance();
  /** The owner's checksum of the shard. */
  checksum: string | null = null;
  /** The owner's size of the blob, if the owner sent it; a shard's checksum does not cover it. */
  #totalBytes: number | null = null;
  /** All bytes, once they are here. */
  data: Whole | null = null;
  /** Whether the owner has to be asked as for bytes, because it does not know the checksum. */
  statMissed = false;
  readonly #shared: FetchShared;
  readonly #shard: ShardId;
  #corruptions = 0;
  /** How often each node did not know the checksum of this shard. */
  readonly #misses = new Map<NodeId, number>();

  constructor(shared: FetchShared, shard: ShardId) {
    this.#shared = shared;
    this.#shard = shard;
  }

  /** Every byte is here, the last from `node` (null: the origin), vouched for by it or not. */
  whole(data: Whole, node: NodeId | null, vouched: boolean): void {
    this.data = data;
    this.statMissed = false;
    if (node === null) this.said(data.checksum, data.totalBytes);
    else if (vouched && data.claimedChecksum !== null)
      this.said(data.claimedChecksum, data.totalBytes);
  }

  /**
   * `node` was asked for the checksum and does not know it: it is to be asked as for bytes. True
   * when it has answered so more than STAT_MISSES_MAX times.
   */
  missed(node: NodeId): boolean {
    this.statMissed = true;
    const misses = (this.#misses.get(node) ?? 0) + 1;
    this.#misses.set(node, misses);
    return misses > STAT_MISSES_MAX;
  }

  /**
   * The owner, a root or the origin has named the checksum of the shard and the size of its blob.
   */
  said(checksum: string, totalBytes: number | null): void {
    this.checksum = checksum;
    this.#totalBytes = totalBytes;
  }

  /**
   * The end of the fetch, when the bytes have the owner's checksum and the blob the size it tells;
   * null when they have not.
   */
  result({ totalBytes, lengthBytes, checksum }: Whole): FetchResult | null {
    if (
      this.checksum !== checksum ||
      (this.#totalBytes !== null && this.#totalBytes !== totalBytes)
    )
      return null;
    const { lastPeer, fromOrigin } = this.provenance;
    if (lastPeer !== null) this.#shared.health.succeeded(lastPeer);
    return {
      kind: 'done',
      totalBytes,
      lengthBytes,
      checksum,
      from: fromOrigin ? 'origin' : 'peer',
    };
  }

  /**
   * The bytes (`data`, or the whole blob by its digest) are not the owner's. Suspects are the
   * senders for whose bytes nobody vouched. A single suspect that sent them as checked by itself
   * has lied; other suspects may have only forwarded them. Without any, the owner contradicts
   * itself. The bytes of owner, root or origin are kept the first time, but not after that.
   */
  blame(data: Whole | null, sources: Sources): Blame {
    const { caution, health, nowMs, observe } = this.#shared;
    const { suspects, liar, trustedBytes, isOfOneVoucher } = this.provenance;
    this.#corruptions++;
    observe('corrupt', liar);
    if (liar === null && suspects.length > 0) caution.raise(nowMs());
    if (liar !== null && health.lied(liar, nowMs())) observe('lied', liar);
    for (const node of suspects) sources.shun(node);
    const { node, role } = sources.next();
    // A root that contradicts itself is asked once more: behind it there may be only the origin.
    // The bytes of an owner that was left, beside the next one's, are no contradiction of the next.
    if (
      node !== null &&
      isOfOneVoucher &&
      (this.#corruptions > 1 || (role === 'owner' && suspects.length === 0))
    )
      sources.passOver(node);
    return {
      error: wireError(
        'CHECKSUM_MISMATCH',
        `shard ${this.#shard.index} came with wrong bytes from ${suspects.length} node(s)`,
      ),
      fromBytes:
        this.#corruptions === 1 && data !== null && suspects.length > 0 && isOfOneVoucher
          ? trustedBytes
          : 0,
      hopeless: this.#corruptions > CORRUPTIONS_MAX,
      tell: node !== null && role === 'owner' && liar !== null ? { owner: node, liar } : null,
    };
  }

  /** Everything after `fromBytes` is thrown away. */
  restart(fromBytes: number): void {
    this.data = null;
    this.checksum = null;
    this.#totalBytes = null;
    this.statMissed = false;
    this.provenance.cut(fromBytes);
  }
}
