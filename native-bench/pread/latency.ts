/** Buckets per doubling: a value is told to within 1/64 of itself. */
const STEPS = 32;
/** 2^40 us is twelve days. */
const DOUBLINGS = 40;

/**
 * Latencies in microseconds, counted in buckets that grow with the value: a constant size for any
 * number of them, and they add up over threads.
 */
export class Latencies {
  readonly counts: Float64Array<ArrayBuffer>;

  constructor(counts = new Float64Array(STEPS * DOUBLINGS)) {
    this.counts = counts;
  }

  add(us: number): void {
    this.counts[bucketOf(us)]! += 1;
  }

  merge(other: Latencies): void {
    for (let at = 0; at < this.counts.length; at++) this.counts[at]! += other.counts[at]!;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * The value that `share` of all are at or below (nearest rank, the middle of its bucket); 0 of
   * none.
   */
  percentile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.total));
    let seen = 0;
    for (let at = 0; at < this.counts.length; at++) {
      seen += this.counts[at]!;
      if (seen >= rank) return middleOf(at);
    }
    return 0;
  }
}

/**
 * Values below STEPS have a bucket each; above, the bucket is the exponent and the next five bits.
 */
function bucketOf(us: number): number {
  const value = Math.max(0, Math.round(us));
  if (value < STEPS) return value;
  const doubling = Math.floor(Math.log2(value)) - Math.log2(STEPS);
  const within = Math.floor(value / 2 ** doubling) - STEPS;
  return Math.min(STEPS * DOUBLINGS - 1, STEPS * (doubling + 1) + within);
}

function middleOf(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const doubling = Math.floor(bucket / STEPS) - 1;
  return (STEPS + (bucket % STEPS) + 0.5) * 2 ** doubling;
}
