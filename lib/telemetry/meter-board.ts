import {
  trafficTypes,
  type CounterName,
  type HistogramName,
  type TrafficType,
} from './metrics-list.ts';
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

interface TrafficTotals {
  operations: number;
  failures: number;
  bytes: number;
}

interface HistogramTotals {
  /** Observations per bucket, not cumulative; one more than there are bounds. */
  buckets: number[];
  sum: number;
}

interface ThreadView {
  /** `control`, `front-1`, ...: the kind and the row. */
  thread: string;
  kind: ThreadKind;
  loopDelayP99Us: number;
  loopDelayMaxUs: number;
}

/** Control's view of the shared counters: sums over all rows, read without locks. */
export class MeterBoard {
  readonly shared: SharedArrayBuffer;
  readonly #words: Float64Array;
  readonly #int32: Int32Array;
  readonly #rows: number;

  constructor(shared: SharedArrayBuffer = createMeterWords()) {
    this.shared = shared;
    this.#words = new Float64Array(shared);
    this.#int32 = new Int32Array(shared);
    this.#rows = rowCount(shared);
  }

  traffic(type: TrafficType): TrafficTotals {
    const word = trafficWord[type];
    return {
      operations: this.#sum(word + OPERATIONS),
      failures: this.#sum(word + FAILURES),
      bytes: this.#sum(word + BYTES),
    };
  }

  counter(name: CounterName): number {
    return this.#sum(counterWord[name]);
  }

  histogram(name: HistogramName): HistogramTotals {
    const { word, bounds } = histogramPlace[name];
    const buckets = Array.from({ length: bounds.length + 1 }, (_, bucket) =>
      this.#sum(word + bucket),
    );
    return { buckets, sum: this.#sum(word + bounds.length + 1) };
  }

  /**
   * The slowest operation of each type since the last call, in microseconds; one caller only.
   */
  takeLatencyMaxUs(): Record<TrafficType, number> {
    const maxima = {} as Record<TrafficType, number>;
    for (const type of trafficTypes) {
      let max = 0;
      for (let row = 0; row < this.#rows; row++) {
        max = Math.max(
          max,
          Atomics.exchange(
            this.#int32,
            (rowStart(row) + trafficWord[type] + LATENCY_MAX_US) * 2,
            0,
          ),
        );
      }
      maxima[type] = max;
    }
    return maxima;
  }

  threads(): ThreadView[] {
    const views: ThreadView[] = [];
    for (let row = 0; row < this.#rows; row++) {
      const kind = threadKinds[Atomics.load(this.#int32, (rowStart(row) + KIND) * 2)] ?? 'free';
      if (kind === 'free') continue;
      views.push({
        thread: kind === 'control' ? kind : `${kind}-${row}`,
        kind,
        loopDelayP99Us: this.#words[rowStart(row) + LOOP_DELAY_P99_US]!,
        loopDelayMaxUs: this.#words[rowStart(row) + LOOP_DELAY_MAX_US]!,
      });
    }
    return views;
  }

  uncountedThreads(): number {
    return Atomics.load(this.#int32, UNCOUNTED_INT32);
  }

  #sum(word: number): number {
    let sum = 0;
    for (let row = 0; row < this.#rows; row++) sum += this.#words[rowStart(row) + word]!;
    return sum;
  }
}
