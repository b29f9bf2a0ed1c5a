import {
  LATE_FACTOR,
  LATE_FLOW_MIN,
  LATE_MS_MIN,
  LATE_OWNER_FACTOR,
  LATE_OWNER_MS_MIN,
  LATE_SAMPLES_MIN,
  HOLD_FACTOR,
  HOLD_MS_MAX,
  UPLOAD_TURN_MS,
  WINDOW_MS,
  WINDOW_SHARDS_MIN,
} from './limits.ts';
import { PEER_HOLD_MS, READ_WINDOW_SHARDS } from '../limits.ts';

/** Weight of a new sample in the running mean: about the last twenty shards count. */
const SAMPLE_WEIGHT = 0.1;

/** Completions remembered, to see what was overtaken. */
const LATEST_MAX = 128;

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
  #intervalMs = 0;
  #turns = 0;
  readonly #latest: { turn: number; doneMs: number }[] = [];
  /** Times of the latest completions, a ring. */
  readonly #doneMs = new Float64Array(LATE_FLOW_MIN).fill(-Infinity);
  /** The latest times in which nothing came. */
  readonly #lulls: { fromMs: number; toMs: number }[] = [];

  /** A shard came whole, `tookMs` after its parent was asked. */
  done(tookMs: number, nowMs: number, turn = 0): void {
    this.#latest.push({ turn, doneMs: nowMs });
    if (this.#latest.length > LATEST_MAX) this.#latest.shift();
    const lullMs = this.#lullMs;
    if (lullMs < nowMs) {
      this.#lulls.push({ fromMs: lullMs, toMs: nowMs });
      if (this.#lulls.length > LULLS_MAX) this.#lulls.shift();
    }
    this.#meanMs =
      this.#samples === 0 ? tookMs : this.#meanMs + SAMPLE_WEIGHT * (tookMs - this.#meanMs);
    if (this.#samples > 0) {
      const sinceMs = nowMs - this.#doneMs[(this.#samples - 1) % LATE_FLOW_MIN]!;
      this.#intervalMs += SAMPLE_WEIGHT * (sinceMs - this.#intervalMs);
    }
    this.#doneMs[this.#samples % LATE_FLOW_MIN] = nowMs;
    this.#samples++;
  }

  /** How long a node that is asked may hold the request while it has nothing to send. */
  get holdMs(): number {
    return Math.min(HOLD_MS_MAX, Math.max(PEER_HOLD_MS, HOLD_FACTOR * this.#meanMs));
  }

  /** Milliseconds between shards lately; Infinity until enough are known. */
  get intervalMs(): number {
    return this.#samples < LATE_FLOW_MIN ? Infinity : this.#intervalMs;
  }

  /** `intervalMs` for others to hear; null while unknown. */
  get knownMs(): number | null {
    return this.#samples < LATE_FLOW_MIN ? null : this.#intervalMs;
  }

  /** Shards that fill the line for UPLOAD_TURN_MS; one while the line is not known. */
  get uploadsAtOnce(): number {
    return Math.max(1, Math.ceil(UPLOAD_TURN_MS / this.intervalMs));
  }

  /** Shards a reader is to have under way: those that come within WINDOW_MS, and a few more. */
  windowShards(unknown: number): number {
    return this.#samples < 4
      ? unknown
      : Math.min(READ_WINDOW_SHARDS, WINDOW_SHARDS_MIN + Math.ceil(WINDOW_MS / this.#intervalMs));
  }

  /** A place in the order in which shards are begun. */
  takeTurn(): number {
    return ++this.#turns;
  }

  /** How many shards begun after `turn` have come since `sinceMs`, of the latest LATEST_MAX. */
  overtakers(turn: number, sinceMs: number): number {
    let count = 0;
    for (const latest of this.#latest) if (latest.turn > turn && latest.doneMs > sinceMs) count++;
    return count;
  }

  /** Whether enough shards have come to judge by. */
  get isKnown(): boolean {
    return this.#samples >= LATE_SAMPLES_MIN;
  }

  /** Milliseconds after which a parent counts as late. */
  get lateMs(): number {
    if (!this.isKnown) return Infinity;
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
