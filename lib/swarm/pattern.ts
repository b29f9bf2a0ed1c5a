import { AHEAD_SMALL_READS_SHARDS_MAX, SHARD_BYTES } from '../limits.ts';

/**
 * Reads of a blob that are remembered, and runs followed in it at once: a background download, a
 * program starting, a few more.
 */
const HISTORY_READS_MAX = 16;
const RUNS_MAX = 8;
/** A read that begins so little after a shard's start follows on the shard before. */
const NEAR_BYTES = 128 * 1024;
/** Steps of a stride may differ by so much: filesystems align. */
const JITTER_BYTES = 64 * 1024;
/**
 * A run of so many steps is sure. Of a sure one so many steps may go unseen: what a front still has
 * in memory it does not ask control for.
 */
const SURE_STEPS = 3;
const UNSEEN_STEPS_MAX = 4;
/** A run that has not gone on while so many other reads came is over. */
const STALE_READS = HISTORY_READS_MAX;
const STALE_READS_SURE = 128;
/**
 * By how many more the wrong predictions may outnumber the right ones; judgements are halved when
 * there are so many.
 */
const WRONG_SURPLUS_MAX = 8;
const JUDGED_MAX = 64;

/** Reads that follow from one another. */
interface Run {
  /** Where the last one began. */
  startBytes: number;
  /** From one to the next; 0: shard by shard, wherever in them the reads begin. */
  strideBytes: number;
  steps: number;
  /** The blob's reads when it was last continued. */
  readAt: number;
}

/**
 * What a blob's many small reads have in common. Seen are the reads that come to a shard their
 * front does not know: of a run in order the first in each shard, of long strides every one. A run
 * is believed after two shards in order (three when the read does not begin near the shard's start)
 * or four reads equally far apart, and then looks further ahead with every step, 1, 2, 4, ...
 * shards up to the bound. When too much of what was foretold is not read, nothing is brought ahead
 * until foretelling, which goes on, is right again.
 */
export class ReadPattern {
  readonly #aheadMax: number;
  readonly #history: number[] = [];
  #runs: Run[] = [];
  /** Shards foretold and not read yet, and the run that did. */
  readonly #foretold = new Map<number, Run>();
  #reads = 0;
  #right = 0;
  #wrong = 0;

  constructor(aheadMax = AHEAD_SMALL_READS_SHARDS_MAX) {
    this.#aheadMax = aheadMax;
  }

  /**
   * A read has come that begins at `startBytes` of the blob; the shards to bring ahead of it, the
   * nearest first.
   */
  read(startBytes: number, totalBytes: number): number[] {
    this.#reads += 1;
    if (this.#foretold.delete(shardOf(startBytes))) this.#judge('right');
    const run = this.#follow(startBytes) ?? this.#recognise(startBytes);
    this.#history.push(startBytes);
    if (this.#history.length > HISTORY_READS_MAX) this.#history.shift();
    this.#forgetStale();
    if (run === null) return [];
    const fresh = this.#ahead(run, shardOf(totalBytes - 1)).filter(
      (index) => !this.#foretold.has(index),
    );
    for (const index of fresh) this.#foretold.set(index, run);
    return this.#wrong - this.#right <= WRONG_SURPLUS_MAX ? fresh : [];
  }

  /** The run this read continues, moved on to it. */
  #follow(startBytes: number): Run | null {
    for (const run of this.#runs) {
      const steps = stepsTo(run, startBytes);
      if (steps < 0 || steps > (run.steps >= SURE_STEPS ? 1 + UNSEEN_STEPS_MAX : 1)) continue;
      run.readAt = this.#reads;
      if (steps > 0) Object.assign(run, { startBytes, steps: run.steps + 1 });
      return run;
    }
    return null;
  }

  #recognise(startBytes: number): Run | null {
    const strideBytes = this.#isInOrder(startBytes) ? 0 : this.#strideTo(startBytes);
    if (strideBytes === null) return null;
    const run = { startBytes, strideBytes, steps: 1, readAt: this.#reads };
    this.#runs.push(run);
    if (this.#runs.length > RUNS_MAX) this.#runs.sort((one, other) => one.readAt - other.readAt);
    return run;
  }

  #isInOrder(startBytes: number): boolean {
    const shard = shardOf(startBytes);
    const wasRead = (index: number): boolean =>
      this.#history.some((start) => shardOf(start) === index);
    return wasRead(shard - 1) && (startBytes % SHARD_BYTES < NEAR_BYTES || wasRead(shard - 2));
  }

  /**
   * How far this read is from the last of three others equally far apart, a shard at least; null
   * when there are none.
   */
  #strideTo(startBytes: number): number | null {
    const wasRead = (at: number): boolean =>
      this.#history.some((start) => Math.abs(start - at) <= JITTER_BYTES);
    for (const last of this.#history.toReversed()) {
      const strideBytes = startBytes - last;
      if (
        Math.abs(strideBytes) >= SHARD_BYTES &&
        wasRead(last - strideBytes) &&
        wasRead(last - 2 * strideBytes)
      )
        return strideBytes;
    }
    return null;
  }

  /** What a run that is over foretold was wrong. */
  #forgetStale(): void {
    const excess = this.#runs.length - RUNS_MAX;
    this.#runs = this.#runs.filter(
      (run, index) =>
        index >= excess &&
        this.#reads - run.readAt <= (run.steps >= SURE_STEPS ? STALE_READS_SURE : STALE_READS),
    );
    for (const [index, run] of this.#foretold) {
      if (this.#runs.includes(run)) continue;
      this.#foretold.delete(index);
      this.#judge('wrong');
    }
  }

  /** The next shards of a run, as many as its steps so far give reason to. */
  #ahead(run: Run, lastShard: number): number[] {
    const count = Math.min(this.#aheadMax, 2 ** (run.steps - 1));
    const shards: number[] = [];
    for (let step = 1; step <= count; step++) {
      const index =
        run.strideBytes === 0
          ? shardOf(run.startBytes) + step
          : shardOf(run.startBytes + step * run.strideBytes);
      if (index < 0 || index > lastShard) break;
      shards.push(index);
    }
    return shards;
  }

  #judge(verdict: 'right' | 'wrong'): void {
    if (verdict === 'right') this.#right += 1;
    else this.#wrong += 1;
    if (this.#right + this.#wrong <= JUDGED_MAX) return;
    this.#right /= 2;
    this.#wrong /= 2;
  }
}

/**
 * How many steps of `run` lead to a read at `startBytes`, 0 to the same shard again; -1: none do.
 */
function stepsTo(run: Run, startBytes: number): number {
  if (run.strideBytes === 0) return shardOf(startBytes) - shardOf(run.startBytes);
  const steps = Math.round((startBytes - run.startBytes) / run.strideBytes);
  return Math.abs(run.startBytes + steps * run.strideBytes - startBytes) <= JITTER_BYTES
    ? steps
    : -1;
}

function shardOf(atBytes: number): number {
  return Math.floor(atBytes / SHARD_BYTES);
}
