import { SHARD_BYTES } from '../limits.ts';
import {
  ORIGIN_LEAD,
  ORIGIN_PACING,
  ORIGIN_PROBE_ROUNDS,
  ORIGIN_ROUND_SHARDS,
  ORIGIN_SILENT_MS,
  ORIGIN_SILENT_MS_MAX,
  ORIGIN_SILENT_SHARDS,
  ORIGIN_STREAM_GAIN_MIN,
  ORIGIN_STREAMS_MIN,
  ORIGIN_TRIAL_MS,
} from './limits.ts';

/** Weight of a new sample in the running means of the first byte's and a shard's time. */
const SAMPLE_WEIGHT = 0.25;

/**
 * How much of one upstream is under way at once. Requests that share a line come late together,
 * the first with the last; so there are only as many as the line takes:
 *
 * - **streams**: answers that are to be coming at once. It begins with ORIGIN_STREAMS_MIN and
 *   doubles from round to round while that brings ORIGIN_STREAM_GAIN_MIN times the rate, as where
 *   each connection has a limit of its own. Twice as many are tried again every
 *   ORIGIN_PROBE_ROUNDS rounds.
 * - **lead**: what has to be asked for before it can be sent, so that the line is not idle until
 *   the first byte: the time to the first byte over the time of a shard (bandwidth x delay, in
 *   shards).
 * - **pacing**: requests that begin together also end together, and the line is idle until the next
 *   first byte. So they begin one after the other, a little faster than shards come (as in BBR,
 *   Cardwell et al., ACM Queue 14(5), 2016).
 */
export class OriginWindow {
  readonly #streamsMax: number;
  #streams: number;
  #firstByteMs = Number.NaN;
  /** What a shard takes while answers come; NaN before the first. */
  #shardMs = Number.NaN;
  /** When the next request may begin. */
  #nextMs = -Infinity;
  /** Answers that are coming. */
  #coming = 0;
  #busySinceMs = 0;
  /** The same with the streams before a trial, and whether this round is one. */
  #beforeMs = Infinity;
  #isTrial = false;
  #roundsSinceTrial = 0;
  #roundBusyMs = 0;
  #roundBytes = 0;

  constructor(streamsMax: number) {
    this.#streamsMax = streamsMax;
    this.#streams = Math.min(streamsMax, ORIGIN_STREAMS_MIN);
  }

  /**
   * Whether another request may begin beside those in flight, each of which has so many shards
   * left. There may be one for each stream, and one more when the rest of a request takes less time
   * than the first byte of the next one.
   */
  hasRoom(underWay: Iterable<{ readonly shards: number }>): boolean {
    const streams = Math.max(this.#streams, Math.min(this.#streamsMax, this.#leadShards));
    // The second stream of a trial is lead enough for the first where a shard takes long.
    const lead = this.#isTrial && this.#leadShards === 1 ? 0 : this.#leadShards;
    const room = streams + lead;
    let taken = 0;
    for (const { shards } of underWay) taken += Math.min(shards, room / streams);
    return taken < room;
  }

  /** In how many ms the next request may begin, if there is room for it. */
  pauseMs(nowMs: number): number {
    return Math.max(0, this.#nextMs - nowMs);
  }

  /**
   * So many shards the next request may ask for: a trial, which shares the line with what is under
   * way, is to delay that only for a moment.
   */
  get requestShards(): number {
    if (!this.#isTrial) return Infinity;
    return Math.max(1, Math.floor(ORIGIN_TRIAL_MS / (this.#streams * this.#shardMs)));
  }

  /** After how long without a byte a request takes nothing of the line. */
  get silentMs(): number {
    const shardsMs = Number.isNaN(this.#shardMs) ? 0 : ORIGIN_SILENT_SHARDS * this.#shardMs;
    return Math.min(ORIGIN_SILENT_MS_MAX, Math.max(ORIGIN_SILENT_MS, shardsMs));
  }

  /** A request has been sent. */
  begun(nowMs: number): void {
    if (Number.isNaN(this.#shardMs)) return;
    this.#nextMs = nowMs + (ORIGIN_PACING * this.#shardMs) / (this.#isTrial ? 2 : 1);
  }

  /** The first byte of an answer came, so long after its request. */
  head(nowMs: number, waitedMs: number): void {
    this.#firstByteMs = mean(this.#firstByteMs, waitedMs);
    if (this.#coming++ === 0) this.#busySinceMs = nowMs;
  }

  /** So many bytes of an answer came; `isWaiting`: there is more to ask for. */
  arrived(nowMs: number, bytes: number, isWaiting: boolean): void {
    if (this.#coming === 0) return;
    const busyMs = nowMs - this.#busySinceMs;
    this.#busySinceMs = nowMs;
    // Until all the streams of a trial are there it shows nothing.
    if (this.#isTrial && this.#coming < this.#streams) return;
    this.#roundBusyMs += busyMs;
    this.#roundBytes += bytes;
    // A body shorter than a shard tells more about the registry than about the line.
    if (Number.isNaN(this.#shardMs) && this.#roundBytes >= SHARD_BYTES)
      this.#shardMs = this.#roundMs;
    // Without others that wait, the rate is that of the demand and says nothing of the line.
    if (!isWaiting) return this.#beginRound();
    if (this.#roundBytes < this.#roundShards * SHARD_BYTES) return;
    this.#roundOver(this.#roundMs);
    this.#beginRound();
  }

  /** An answer has ended; only after `head`. `isIdle`: no other request is under way. */
  ended(nowMs: number, isIdle: boolean): void {
    if (--this.#coming > 0) return;
    this.#roundBusyMs += nowMs - this.#busySinceMs;
    // The answer was shorter than a shard, or faster.
    if (isIdle) this.#nextMs = -Infinity;
  }

  get #leadShards(): number {
    if (Number.isNaN(this.#shardMs)) return 0;
    // A shard that came at once, from a buffer, has a time of 0.
    if (this.#shardMs === 0) return this.#streamsMax;
    return Math.min(this.#streamsMax, Math.ceil((ORIGIN_LEAD * this.#firstByteMs) / this.#shardMs));
  }

  /** A trial on a slow line is short: what is under way comes at half the rate meanwhile. */
  get #roundShards(): number {
    const shards = Math.max(ORIGIN_ROUND_SHARDS, 2 * this.#streams);
    if (!this.#isTrial) return shards;
    return Math.min(shards, Math.max(this.#streams, ORIGIN_TRIAL_MS / this.#shardMs));
  }

  /** What a shard took in this round. */
  get #roundMs(): number {
    return (this.#roundBusyMs * SHARD_BYTES) / Math.max(1, this.#roundBytes);
  }

  #roundOver(shardMs: number): void {
    if (this.#isTrial && shardMs * ORIGIN_STREAM_GAIN_MIN > this.#beforeMs) {
      this.#streams /= 2;
      this.#isTrial = false;
      this.#roundsSinceTrial = 0;
      return;
    }
    this.#shardMs = this.#isTrial ? shardMs : mean(this.#shardMs, shardMs);
    const isFirst = this.#beforeMs === Infinity;
    this.#beforeMs = this.#shardMs;
    if (!this.#isTrial && !isFirst && ++this.#roundsSinceTrial < ORIGIN_PROBE_ROUNDS) return;
    this.#isTrial = this.#streams * 2 <= this.#streamsMax;
    this.#roundsSinceTrial = 0;
    if (this.#isTrial) this.#streams *= 2;
  }

  #beginRound(): void {
    this.#roundBusyMs = 0;
    this.#roundBytes = 0;
  }
}

function mean(before: number, sample: number): number {
  return Number.isNaN(before) ? sample : before + SAMPLE_WEIGHT * (sample - before);
}
