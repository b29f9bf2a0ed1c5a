import { LRUCache } from 'lru-cache';

/**
 * An LRU cache that remembers its last answer: facts about a blob are needed several times for each
 * of its shards.
 */
export class RepeatCache<Value extends object> {
  readonly #entries: LRUCache<string, Value>;
  /** The entry used last, which is the last to be evicted. */
  #last: { key: string; value: Value } | null = null;

  constructor(options: LRUCache.Options<string, Value, unknown>) {
    this.#entries = new LRUCache(options);
  }

  get(key: string): Value | undefined {
    if (this.#last?.key === key) return this.#last.value;
    const value = this.#entries.get(key);
    if (value !== undefined) this.#last = { key, value };
    return value;
  }

  set(key: string, value: Value): void {
    this.#last = null;
    this.#entries.set(key, value);
  }

  delete(key: string): void {
    this.#last = null;
    this.#entries.delete(key);
  }
}
