import type { CounterName, HistogramName, TrafficType } from './metrics-list.ts';
import {
  BYTES,
  FAILURES,
  KIND,
  LATENCY_MAX_US,
  LOOP_DELAY_MAX_US,
  LOOP_DELAY_P99_US,
  OPERATIONS,
  UNCOUNTED_INT32,
  counterWord,
  createMeterWords,
  histogramPlace,
  rowCount,
  rowStart,
  threadKinds,
  trafficWord,
  type ThreadKind,
} from './meter-layout.ts';

/** An int32 holds 35 minutes in microseconds; longer operations are capped. */
const LATENCY_US_MAX = 0x7fff_ffff;

/**
 * One thread's counters: a row of shared memory that only this thread writes. No locks, no
 * allocation; a call is a table look-up and an addition. Control reads all rows (`MeterBoard`).
 */
export class Meter {
  /** The memory whose header all threads share. */
  readonly shared: SharedArrayBuffer;
  readonly row: number;
  readonly #words: Float64Array;
  readonly #int32: Int32Array;
  readonly #start: number;

  /**
   * Uses row `row`, which must have no other writer: row 0 is control's, the next ones are the
   * fronts'; pool threads call `Meter.claim`.
   */
  constructor(words: SharedArrayBuffer, row: number, kind: ThreadKind, shared = words) {
    this.shared = shared;
    this.row = row;
    this.#words = new Float64Array(words);
    this.#int32 = new Int32Array(words);
    this.#start = rowStart(row);
    Atomics.store(this.#int32, (this.#start + KIND) * 2, threadKinds.indexOf(kind));
  }

  /**
   * Claims the last free row for the calling thread. Rows are claimed from the end, because control
   * and the fronts get theirs by number from 0 on. When none is free, the thread counts into memory
   * that nobody reads and `shoal_threads_uncounted` rises: metrics must not stop a pool.
   */
  static claim(shared: SharedArrayBuffer, kind: ThreadKind): Meter {
    const int32 = new Int32Array(shared);
    const code = threadKinds.indexOf(kind);
    for (let row = rowCount(shared) - 1; row > 0; row--) {
      if (Atomics.compareExchange(int32, (rowStart(row) + KIND) * 2, 0, code) === 0)
        return new Meter(shared, row, kind);
    }
    Atomics.add(int32, UNCOUNTED_INT32, 1);
    return new Meter(createMeterWords(1), 0, kind, shared);
  }

  /** Frees the row for the next claim; its counts stay. */
  release(): void {
    this.setLoopDelay(0, 0);
    Atomics.store(this.#int32, (this.#start + KIND) * 2, 0);
  }

  /**
   * One operation: the bytes it moved (also before a failure) and its time.
   */
  record(type: TrafficType, bytes: number, latencyUs: number, failed = false): void {
    const at = this.#start + trafficWord[type];
    this.#words[at + OPERATIONS]! += 1;
    if (failed) this.#words[at + FAILURES]! += 1;
    if (bytes > 0) this.#words[at + BYTES]! += bytes;
    const latency = latencyUs < LATENCY_US_MAX ? Math.round(latencyUs) : LATENCY_US_MAX;
    const maxAt = (at + LATENCY_MAX_US) * 2;
    // Control resets the word once a second; a sample may count for the previous second.
    if (latency > Atomics.load(this.#int32, maxAt)) Atomics.store(this.#int32, maxAt, latency);
  }

  /**
   * Adds bytes to a running operation, so that throughput includes long ones.
   */
  recordBytes(type: TrafficType, bytes: number): void {
    this.#words[this.#start + trafficWord[type] + BYTES]! += bytes;
  }

  count(name: CounterName, by = 1): void {
    this.#words[this.#start + counterWord[name]]! += by;
  }

  /** One value of a histogram: microseconds, or hops for `treeDepth`. */
  observe(name: HistogramName, value: number): void {
    const { word, bounds } = histogramPlace[name];
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.#words[this.#start + word + bucket]! += 1;
    this.#words[this.#start + word + bounds.length + 1]! += value;
  }

  /** This thread's event-loop delay over its last second (`watchLoopDelay`). */
  setLoopDelay(p99Us: number, maxUs: number): void {
    this.#words[this.#start + LOOP_DELAY_P99_US] = p99Us;
    this.#words[this.#start + LOOP_DELAY_MAX_US] = maxUs;
  }
}
