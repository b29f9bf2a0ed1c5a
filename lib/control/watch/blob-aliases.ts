import { LRUCache } from 'lru-cache';
import type { BlobTree, StatusInputs } from '../../telemetry/status.ts';

/** Bound on remembered aliases: far more than a status page shows. */
const ALIASES_MAX = 4_096;

/**
 * Aliases for blobs on public pages. A digest tells which image a node runs, and a client without
 * rights could use it to request the blob. All nodes of a cluster use the same alias for a blob.
 */
export class BlobAliases {
  readonly #opaqueName: (key: string) => string;
  readonly #keys = new LRUCache<string, string>({ max: ALIASES_MAX });

  /** `opaqueName`: hex digits that stand for a key and do not reveal it. */
  constructor(opaqueName: (key: string) => string) {
    this.#opaqueName = opaqueName;
  }

  /** The status with aliases for keys. */
  hide(inputs: StatusInputs): StatusInputs {
    return {
      ...inputs,
      inFlight: inputs.inFlight.map((each) => ({ ...each, blob: this.#aliasOf(each.blob) })),
      trees: { ...inputs.trees, blobs: inputs.trees.blobs.map((key) => this.#aliasOf(key)) },
    };
  }

  /** The tree of the blob that a status has shown under this alias. */
  tree(alias: string, find: (key: string) => BlobTree | undefined): BlobTree | undefined {
    const key = this.#keys.get(alias);
    const tree = key === undefined ? undefined : find(key);
    return tree === undefined ? undefined : { ...tree, blob: alias };
  }

  #aliasOf(key: string): string {
    const alias = `blob:${this.#opaqueName(key).slice(0, 32)}`;
    this.#keys.set(alias, key);
    return alias;
  }
}
