import { METER_ROWS_MAX } from './limits.ts';
import {
  counterFamilies,
  histogramFamilies,
  trafficTypes,
  type CounterName,
  type HistogramFamily,
  type HistogramName,
  type TrafficType,
} from './metrics-list.ts';

/**
 * Layout of the shared counters: one row per thread, each a run of float64 words with one writer.
 * 8-byte aligned float64 loads and stores are one instruction on every machine Node runs on, so
 * control reads rows while they are written; the sums are exact up to 2^53.
 *
 *   header: uncounted threads (int32), bytes of audit lines on their way to control (int32)
 *   row:    kind (int32) | loop delay p99, max | traffic x 5 | counters | histograms
 */

/** Kinds of thread, as stored in a row's kind word; 0 is a free row. */
export const threadKinds = ['free', 'control', 'front', 'transfer', 'digest'] as const;
export type ThreadKind = Exclude<(typeof threadKinds)[number], 'free'>;

/** 128 bytes: two cache lines, since processors fetch them in pairs. */
const LINE_WORDS = 16;

const HEADER_WORDS = LINE_WORDS;
export const UNCOUNTED_INT32 = 0;
export const AUDIT_BYTES_INT32 = 1;

export const KIND = 0;
export const LOOP_DELAY_P99_US = 1;
export const LOOP_DELAY_MAX_US = 2;

/** Words of one type of traffic, from `trafficWord[type]` on; the maximum is an int32. */
export const OPERATIONS = 0;
export const FAILURES = 1;
export const BYTES = 2;
export const LATENCY_MAX_US = 3;
const TRAFFIC_WORDS = 4;

/** Words of one histogram series: a count per bucket, the overflow bucket, then the sum. */
interface HistogramPlace {
  word: number;
  bounds: readonly number[];
}

let nextWord = 3;

function take(words: number): number {
  const word = nextWord;
  nextWord += words;
  return word;
}

export const trafficWord = Object.fromEntries(
  trafficTypes.map((type) => [type, take(TRAFFIC_WORDS)]),
) as Record<TrafficType, number>;

export const counterWord = Object.fromEntries(
  counterFamilies.flatMap((family) => Object.keys(family.series)).map((key) => [key, take(1)]),
) as Record<CounterName, number>;

export const histogramPlace = Object.fromEntries(
  (histogramFamilies as readonly HistogramFamily[]).flatMap((family) =>
    Object.keys(family.series).map((key) => [
      key,
      { word: take(family.bounds.length + 2), bounds: family.bounds },
    ]),
  ),
) as Record<HistogramName, HistogramPlace>;

export const ROW_WORDS = Math.ceil(nextWord / LINE_WORDS) * LINE_WORDS;

/** First float64 word of a row. */
export function rowStart(row: number): number {
  return HEADER_WORDS + row * ROW_WORDS;
}

/** Zeroed shared memory for `rows` rows. */
export function createMeterWords(rows = METER_ROWS_MAX): SharedArrayBuffer {
  return new SharedArrayBuffer((HEADER_WORDS + rows * ROW_WORDS) * 8);
}

/** How many rows the memory holds. */
export function rowCount(shared: SharedArrayBuffer): number {
  return (shared.byteLength / 8 - HEADER_WORDS) / ROW_WORDS;
}
