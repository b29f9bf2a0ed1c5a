import { LRUCache as Whole } from 'lru-cache';

const ENTRIES_MAX = 64;

/**
 * In the place of lru-cache within a simulation. A cache of the real size takes most of the time of
 * a simulated node's start, and a small one forgets, which few other tests see.
 */
export class LRUCache<K extends {}, V extends {}, C = unknown> extends Whole<K, V, C> {
  constructor(options: Whole.Options<K, V, C>) {
    super(
      options.max === undefined ? options : { ...options, max: Math.min(ENTRIES_MAX, options.max) },
    );
  }
}
