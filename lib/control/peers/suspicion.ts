import { LRUCache } from 'lru-cache';
import { SUSPICION_BLOBS_MAX } from '../limits.ts';
import type { Distrust } from '../../swarm/types.ts';

/** What other nodes sent of one blob. */
interface Senders {
  distrust: Distrust;
  /** By shard: its sender and the checksum that the sender or the owner gave for it. */
  byShard: Map<number, { node: string; checksum: string }>;
}

/**
 * Finds the node that sent a wrong checksum. Such a shard passes its own check; only the digest of
 * the whole blob shows that some shard is wrong, but not which one. So the sender of each shard is
 * recorded. A blob with a wrong digest is read again without its owners (the second time without
 * the roots too). A node whose checksum differs from that of the second read is accused.
 */
export class Suspicion {
  readonly #blobs = new LRUCache<string, Senders>({ max: SUSPICION_BLOBS_MAX });
  readonly #accuse: (node: string) => void;

  constructor(accuse: (node: string) => void) {
    this.#accuse = accuse;
  }

  /** Which nodes the next fetch of this blob passes over. */
  distrust(key: string): Distrust {
    return this.#blobs.get(key)?.distrust ?? 'nobody';
  }

  /** A shard was received from `node`, or from the origin itself (null). */
  received(key: string, shard: number, node: string | null, checksum: string): void {
    let blob = this.#blobs.get(key);
    if (blob === undefined) {
      if (node === null) return;
      this.#blobs.set(key, (blob = { distrust: 'nobody', byShard: new Map() }));
    }
    const before = blob.byShard.get(shard);
    if (
      blob.distrust !== 'nobody' &&
      before !== undefined &&
      before.node !== node &&
      before.checksum !== checksum
    )
      this.#accuse(before.node);
    if (node === null) blob.byShard.delete(shard);
    else blob.byShard.set(shard, { node, checksum });
  }

  /** The whole blob does not have its digest. */
  broken(key: string): void {
    const blob = this.#blobs.get(key);
    if (blob !== undefined) blob.distrust = blob.distrust === 'nobody' ? 'owners' : 'everybody';
  }

  /** The whole blob has its digest: all its senders were right. */
  verified(key: string): void {
    this.#blobs.delete(key);
  }
}
