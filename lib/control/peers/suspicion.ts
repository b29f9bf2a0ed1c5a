import { LRUCache } from 'lru-cache';
import { SUSPICION_BLOBS_MAX } from '../limits.ts';
import type { Distrust } from '../../swarm/types.ts';

/** What other nodes said the shards of one blob are. */
interface Testimony {
  distrust: Distrust;
  /** By shard: who sent it, and the checksum it was vouched for with. */
  words: Map<number, { node: string; checksum: string }>;
}

/**
 * Finds out which node vouched for wrong bytes. Its shards pass every check of their own; only the
 * blob's digest, once it is whole, shows that one of them is wrong, but not which. So who sent what
 * is remembered; a blob that turns out broken is read again past the owners (the second time past
 * the roots too), and whose word differs from what came then has lied.
 */
export class Suspicion {
  readonly #blobs = new LRUCache<string, Testimony>({ max: SUSPICION_BLOBS_MAX });
  readonly #accuse: (node: string) => void;

  constructor(accuse: (node: string) => void) {
    this.#accuse = accuse;
  }

  /** Whom to pass over for a shard of this blob. */
  distrust(key: string): Distrust {
    return this.#blobs.get(key)?.distrust ?? 'nobody';
  }

  /** A shard has come, from `node` or (null) from the origin itself. */
  came(key: string, shard: number, node: string | null, checksum: string): void {
    let blob = this.#blobs.get(key);
    if (blob === undefined) {
      if (node === null) return;
      this.#blobs.set(key, (blob = { distrust: 'nobody', words: new Map() }));
    }
    const word = blob.words.get(shard);
    if (
      blob.distrust !== 'nobody' &&
      word !== undefined &&
      word.node !== node &&
      word.checksum !== checksum
    )
      this.#accuse(word.node);
    if (node === null) blob.words.delete(shard);
    else blob.words.set(shard, { node, checksum });
  }

  /** The blob as a whole is not what its digest says. */
  broken(key: string): void {
    const blob = this.#blobs.get(key);
    if (blob !== undefined) blob.distrust = blob.distrust === 'nobody' ? 'owners' : 'everybody';
  }

  /** The blob as a whole is right: nothing is held against anybody. */
  held(key: string): void {
    this.#blobs.delete(key);
  }
}
