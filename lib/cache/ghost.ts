/**
 * Recently evicted shards, by fingerprint: a shard that comes back while it is remembered is worth
 * keeping. Bounded: a direct-mapped table in which newer entries replace older ones, and an entry
 * expires after `span` later ones. A collision only causes one suboptimal eviction.
 */
export class Ghost {
  readonly #span: number;
  readonly #mask: number;
  readonly #fingerprints: Uint32Array;
  readonly #times: Float64Array;
  #time = 0;

  constructor(span: number) {
    this.#span = span;
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * span)));
    this.#mask = size - 1;
    this.#fingerprints = new Uint32Array(size);
    this.#times = new Float64Array(size);
  }

  remember(fingerprint: number): void {
    const at = fingerprint & this.#mask;
    this.#fingerprints[at] = fingerprint;
    this.#times[at] = ++this.#time;
  }

  /** Whether it was remembered, and forgets it. */
  recall(fingerprint: number): boolean {
    const at = fingerprint & this.#mask;
    const time = this.#times[at]!;
    if (time === 0 || this.#fingerprints[at] !== fingerprint) return false;
    this.#times[at] = 0;
    return this.#time - time < this.#span;
  }
}
