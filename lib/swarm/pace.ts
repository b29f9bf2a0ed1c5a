import {
  LATE_FACTOR,
  LATE_FLOW_MIN,
  LATE_MS_MIN,
  LATE_OWNER_FACTOR,
  LATE_OWNER_MS_MIN,
  LATE_SAMPLES_MIN,
  LATE_UNKNOWN_MS,
} from './limits.ts';

/** Weight of a new sample in the running mean: about the last twenty shards count. */
const SAMPLE_WEIGHT = 0.1;

/** Lulls remembered: a lateness spans one or two. */
const LULLS_MAX = 8;

/**
 * How long shards take here lately. "Late" is relative, so that a slow link, a busy origin or a
 * long tree, which make all shards slow alike, never look like a slow parent, and nobody runs
 * elsewhere because of them.
 */
export class Pace {
  #meanMs = 0;
  #samples = 0;
  /** Times of the latest completions, a ring. */
  readonly #doneMs = new Float64Array(LATE_FLOW_MIN).fill(-Infinity);
  /** The latest times in which nothing came. */
  readonly #lulls: { fromMs: number; toMs: number }[] = [];

  /** A shard came whole, `tookMs` after its parent was asked. */
  done(tookMs: number, nowMs: number): void {
    const lullMs = this.#lullMs;
    if (lullMs < nowMs) {
      this.#lulls.push({ fromMs: lullMs, toMs: nowMs });
      if (this.#lulls.length > LULLS_MAX) this.#lulls.shift();
    }
    this.#doneMs[this.#samples % LATE_FLOW_MIN] = nowMs;
    this.#meanMs =
      this.#samples === 0 ? tookMs : this.#meanMs + SAMPLE_WEIGHT * (tookMs - this.#meanMs);
    this.#samples++;
  }

  /** Whether enough shards have come to judge by. */
  get isKnown(): boolean {
    return this.#samples >= LATE_SAMPLES_MIN;
  }

  /** Milliseconds after which a parent counts as late. */
  get lateMs(): number {
    if (!this.isKnown) return LATE_UNKNOWN_MS;
    return Math.max(LATE_MS_MIN, LATE_FACTOR * this.#meanMs);
  }

  /**
   * The same for an owner behind whom is only the origin: more patient, and never before enough is
   * known.
   */
  get lateOwnerMs(): number {
    return !this.isKnown ? Infinity : Math.max(LATE_OWNER_MS_MIN, LATE_OWNER_FACTOR * this.#meanMs);
  }

  /**
   * How long an owner that says "busy" is waited for, as far as that is known: 0 before. A slow
   * origin makes all of them so.
   */
  get patienceMs(): number {
    return LATE_OWNER_FACTOR * this.#meanMs;
  }

  /**
   * How much of the time since `sinceMs` shards were coming: what has not come in the rest is
   * everybody's trouble.
   */
  flowingMs(sinceMs: number, nowMs: number): number {
    let lullMs = Math.max(0, nowMs - Math.max(sinceMs, this.#lullMs));
    for (const { fromMs, toMs } of this.#lulls)
      lullMs += Math.max(0, toMs - Math.max(sinceMs, fromMs));
    return nowMs - sinceMs - lullMs;
  }

  /** Since when, or from when on if nothing comes until then, nothing comes. */
  get #lullMs(): number {
    return this.#samples === 0
      ? -Infinity
      : this.#doneMs[(this.#samples - 1) % LATE_FLOW_MIN]! + LATE_MS_MIN / 2;
  }

  /**
   * Whether `LATE_FLOW_MIN` shards have come since `sinceMs`: then what has not come since is its
   * parent's doing.
   */
  flowedSince(sinceMs: number): boolean {
    return this.#doneMs[this.#samples % LATE_FLOW_MIN]! > sinceMs;
  }
}
