import {
  CHECKSUM_MS_MIN,
  CHECKSUM_SHARDS,
  FETCH_PATIENCE_MS,
  LATE_FACTOR,
  LATE_FLOW_MIN,
  LATE_MS_MIN,
  LATE_OWNER_FACTOR,
  LATE_OWNER_MS_MIN,
  LATE_SAMPLES_MIN,
  ANSWER_MS_MIN,
  HOLD_GROWTH,
  HOLD_MS_MAX,
  HOLD_MS_MIN,
  HOLD_SHARDS,
  REST_MS_MIN,
  REST_UNKNOWN_MS,
  SILENCE_MS_MAX,
  SILENCE_SLOW_LINE_MS_MAX,
  SOUNDING_MS_MAX,
  SOUNDING_MS_MIN,
  SOUNDING_SHARDS,
  STUCK_MS_MIN,
  STUCK_SHARDS,
  STUCK_UNKNOWN_MS,
  TICK_MS_MAX,
  TICK_MS_MIN,
  TICKS_PER_SHARD,
  UPLOAD_TURN_MS,
} from './limits.ts';
import { PEER_HOLD_MS, READ_WINDOW_SHARDS, SHARD_BYTES } from '../limits.ts';

/** Weight of a new sample in the running mean: about the last twenty shards count. */
const SAMPLE_WEIGHT = 0.1;

/**
 * The time over which the line is measured, and the bytes that must arrive in it. These are far
 * more than a socket buffers: bytes that waited there for the processor arrive at once.
 */
const LINE_WINDOW_MS = 50;
const LINE_WINDOW_BYTES = SHARD_BYTES;

/** A new stretch begins after a pause of this length. */
const LINE_PAUSE_MS = 250;

/** What remains of the best stretch with each that is not better. */
const LINE_DECAY = 0.92;

/** A test may have been wrong: it counts as if a shard took so long at most. */
const TESTED_SHARD_MS_MAX = 12_500;

/** Completions remembered, to count overtaking shards. */
const LATEST_MAX = 128;

/**
 * How long shards take on this node. "Late" is relative to that: a slow link, a busy origin or a
 * long tree delays all shards alike, and must not look like a slow parent.
 */
export class Pace {
  #samples = 0;
  #meanMs = 0;
  /** 0: not known yet. */
  #lineBytesPerMs = 0;
  /** What a test of the line has shown; 0: not tested. */
  #testedBytesPerMs = 0;
  /** Whether a whole stretch was measured. */
  #isMeasured = false;
  #stretchBytes = 0;
  #stretchMs = 0;
  #receivedMs = -Infinity;
  /** Smoothed time of an answer, 0 before the first, and its variation. */
  #answerMs = 0;
  #answerSpreadMs = 0;
  readonly #latest: { index: number; doneMs: number }[] = [];
  /** Times of the latest completions, a ring. */
  readonly #doneMs = new Float64Array(LATE_FLOW_MIN).fill(-Infinity);

  /**
   * `bytes` of any shard came. The line is what the best stretches of LINE_WINDOW_MS bring: a
   * pause, as when a sender falls silent, says nothing of it.
   */
  received(bytes: number, nowMs: number): void {
    if (nowMs - this.#receivedMs > LINE_PAUSE_MS) {
      this.#stretchBytes = 0;
      this.#stretchMs = nowMs;
    } else this.#stretchBytes += bytes;
    this.#receivedMs = nowMs;
    const elapsedMs = nowMs - this.#stretchMs;
    if (elapsedMs < LINE_WINDOW_MS) return;
    const bytesPerMs = this.#stretchBytes / elapsedMs;
    if (this.#stretchBytes < LINE_WINDOW_BYTES) {
      // Better than nothing, until the first stretch is whole.
      if (!this.#isMeasured && this.#stretchBytes >= LINE_WINDOW_BYTES / 4)
        this.#lineBytesPerMs = bytesPerMs;
      return;
    }
    this.#lineBytesPerMs = this.#isMeasured
      ? Math.max(bytesPerMs, LINE_DECAY * this.#lineBytesPerMs)
      : bytesPerMs;
    this.#isMeasured = true;
    this.#stretchBytes = 0;
    this.#stretchMs = nowMs;
  }

  /** A test of the line has shown this rate; see Lines. */
  tested(bytesPerMs: number): void {
    this.#testedBytesPerMs = bytesPerMs;
  }

  /** Shard `index` of a blob is complete; its sender was asked `tookMs` ago. */
  done(index: number, tookMs: number, nowMs: number): void {
    this.#latest.push({ index, doneMs: nowMs });
    if (this.#latest.length > LATEST_MAX) this.#latest.shift();
    this.#meanMs =
      this.#samples === 0 ? tookMs : this.#meanMs + SAMPLE_WEIGHT * (tookMs - this.#meanMs);
    this.#doneMs[this.#samples % LATE_FLOW_MIN] = nowMs;
    this.#samples++;
  }

  /**
   * How long a node that is asked may hold the request while it has nothing to send: the time of
   * HOLD_SHARDS at first, HOLD_GROWTH times as long each of the `times` that it had nothing, at
   * most that of a window.
   */
  holdMs(times: number): number {
    const firstMs = Math.max(HOLD_MS_MIN, this.#isLineKnown ? HOLD_SHARDS * this.intervalMs : 0);
    const mostMs = this.#isLineKnown ? this.#holdMsMax : HOLD_MS_MAX;
    return Math.min(mostMs, firstMs * HOLD_GROWTH ** times);
  }

  get #holdMsMax(): number {
    return Math.min(HOLD_MS_MAX, Math.max(PEER_HOLD_MS, this.windowMs));
  }

  /** How long a sender may pause within a shard: it sends others that are needed sooner first. */
  get stallMs(): number {
    return this.#holdMsMax + SILENCE_MS_MAX;
  }

  /** A node answered `tookMs` after it was to. */
  answered(tookMs: number): void {
    if (this.#answerMs === 0) {
      this.#answerMs = tookMs;
      this.#answerSpreadMs = tookMs / 2;
      return;
    }
    this.#answerSpreadMs += (Math.abs(this.#answerMs - tookMs) - this.#answerSpreadMs) / 4;
    this.#answerMs += (tookMs - this.#answerMs) / 8;
  }

  /**
   * How late an answer may be before the node counts as silent: as TCP does it (RFC 6298). As a
   * pull begins all nodes are busy, and the first answers show nothing: an owner left then is left
   * for all shards that are asked for by then, each of which a root sends twice.
   */
  get silenceMs(): number {
    if (!this.#isLineKnown) return SILENCE_MS_MAX;
    const lineMs = Math.min(SILENCE_SLOW_LINE_MS_MAX, this.intervalMs);
    const usualMs =
      this.#answerMs === 0
        ? SILENCE_MS_MAX
        : Math.max(ANSWER_MS_MIN, this.#answerMs + 4 * this.#answerSpreadMs);
    return Math.max(lineMs, Math.min(SILENCE_MS_MAX, usualMs));
  }

  /** How often fetches are looked at. */
  get tickMs(): number {
    if (!this.#isLineKnown) return TICK_MS_MIN;
    return Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, this.intervalMs / TICKS_PER_SHARD));
  }

  /** How long a node that holds requests may say nothing before it is asked whether it is there. */
  get soundingMs(): number {
    const shardsMs = this.#isLineKnown ? SOUNDING_SHARDS * this.intervalMs : PEER_HOLD_MS;
    return Math.min(SOUNDING_MS_MAX, Math.max(SOUNDING_MS_MIN, shardsMs));
  }

  /** Within what time a node must answer that. */
  get soundingWaitMs(): number {
    return Math.max(SILENCE_MS_MAX, this.silenceMs);
  }

  /** How long a parent may bring no byte of a shard while none comes of those before it. */
  get stuckMs(): number {
    return this.#isLineKnown
      ? Math.max(STUCK_MS_MIN, STUCK_SHARDS * this.intervalMs)
      : Math.max(STUCK_UNKNOWN_MS, STUCK_SHARDS * this.#leastMs);
  }

  /** How long an owner may not know a checksum; Infinity while the line is not known. */
  get checksumMs(): number {
    return Math.max(CHECKSUM_MS_MIN, CHECKSUM_SHARDS * this.intervalMs);
  }

  /** What the line needs for a shard, in ms; Infinity before it is known. */
  get intervalMs(): number {
    return this.#lineBytesPerMs === 0 ? Infinity : SHARD_BYTES / this.#lineBytesPerMs;
  }

  /** `intervalMs` for others to hear; null while unknown. */
  get knownMs(): number | null {
    return this.#lineBytesPerMs === 0 ? null : this.intervalMs;
  }

  /**
   * What the line needs for a shard, in ms, as a test has shown, or less if shards came faster
   * lately; null: not tested. Unlike `intervalMs` it does not depend on who sends.
   */
  get lineMs(): number | null {
    if (this.#testedBytesPerMs === 0) return null;
    return SHARD_BYTES / Math.max(this.#testedBytesPerMs, this.#lineBytesPerMs);
  }

  /** The same by the test alone; Infinity: not tested. */
  get testedMs(): number {
    return this.#testedBytesPerMs === 0 ? Infinity : SHARD_BYTES / this.#testedBytesPerMs;
  }

  /**
   * What a shard takes, to choose how it travels: by a test, else by what came, in ms; Infinity
   * while neither is known.
   */
  get shapeMs(): number {
    return this.lineMs ?? this.intervalMs;
  }

  /** Shards that fill the line for UPLOAD_TURN_MS; one while the line is not known. */
  get uploadsAtOnce(): number {
    return Math.max(1, Math.ceil(UPLOAD_TURN_MS / this.intervalMs));
  }

  /**
   * How many shards that are sent after shard `index` have come since `sinceMs`, of the latest
   * LATEST_MAX.
   */
  overtakers(index: number, sinceMs: number): number {
    let count = 0;
    for (const latest of this.#latest) if (latest.index > index && latest.doneMs > sinceMs) count++;
    return count;
  }

  /** When a shard last came; -Infinity before the first. */
  get cameMs(): number {
    return this.#samples === 0 ? -Infinity : this.#doneMs[(this.#samples - 1) % LATE_FLOW_MIN]!;
  }

  /**
   * How long a shard usually takes: at least the time of a whole window, because all shards that
   * are wanted before it arrive first, and their number varies.
   */
  get #usualMs(): number {
    return Math.max(this.#meanMs, this.windowMs);
  }

  /** How long a fetch continues without a byte. */
  get giveUpMs(): number {
    return Math.max(FETCH_PATIENCE_MS, 2 * this.windowMs, 2 * READ_WINDOW_SHARDS * this.#leastMs);
  }

  /** The time that a whole window of a reader takes; 0 before the line is known. */
  get windowMs(): number {
    return this.#isLineKnown ? this.intervalMs * READ_WINDOW_SHARDS : 0;
  }

  /**
   * What a shard takes at least while `intervalMs` is not known, 0 if that is not known either. A
   * very slow line is never measured by what comes over it: the pauses are too long.
   */
  get #leastMs(): number {
    return Math.min(TESTED_SHARD_MS_MAX, this.lineMs ?? 0);
  }

  get #isLineKnown(): boolean {
    return this.#lineBytesPerMs > 0;
  }

  /** How long a sender that has begun a shard may send next to nothing. */
  get restMs(): number {
    return this.#isLineKnown
      ? Math.max(REST_MS_MIN, 2 * this.windowMs)
      : Math.max(REST_UNKNOWN_MS, 2 * READ_WINDOW_SHARDS * this.#leastMs);
  }

  /** Whether enough shards have come to judge by. */
  get isKnown(): boolean {
    return this.#samples >= LATE_SAMPLES_MIN;
  }

  /** Milliseconds after which a parent counts as late. */
  get lateMs(): number {
    return this.isKnown ? Math.max(LATE_MS_MIN, LATE_FACTOR * this.#usualMs) : Infinity;
  }

  /**
   * The same for an owner that is the last before the origin: longer, and never before enough
   * shards have been measured.
   */
  get lateOwnerMs(): number {
    return this.isKnown ? Math.max(LATE_OWNER_MS_MIN, LATE_OWNER_FACTOR * this.#usualMs) : Infinity;
  }

  /**
   * How long an owner that says "busy" is waited for, as far as that is known: 0 before. A slow
   * origin makes all of them so.
   */
  get patienceMs(): number {
    return LATE_OWNER_FACTOR * this.#usualMs;
  }

  /**
   * Whether `LATE_FLOW_MIN` shards have arrived since `sinceMs`: then the parent is to blame for a
   * shard that has not.
   */
  flowedSince(sinceMs: number): boolean {
    return this.#doneMs[this.#samples % LATE_FLOW_MIN]! > sinceMs;
  }
}
