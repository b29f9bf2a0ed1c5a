import { median } from '../vs/comparison.ts';

/** What was seen of the node at one moment. */
export interface Sample {
  atSeconds: number;
  residentBytes: number;
  descriptors: number;
  /** Event-loop delay of the slowest front over the last second, its 99th percentile. */
  frontDelayP99Ms: number;
}

export interface Verdict {
  residentMB: { secondMinute: number; lastMinute: number; max: number };
  descriptors: { secondMinute: number; lastMinute: number };
  /**
   * Of the seconds' 99th percentiles: the middle one, and the one that 99 % of the seconds do not
   * pass.
   */
  frontDelayP99Ms: { median: number; p99: number };
  lines: { what: string; ok: boolean }[];
  ok: boolean;
}

/** Growth of the median from the second minute to the last that still counts as flat. */
const GROWTH_MAX = 1.05;
const FRONT_DELAY_MS_MAX = 10;

/**
 * Holds the last minute against the second: the first fills memory and caches. Of less than three
 * minutes, thirds are taken for minutes.
 */
export function judge(samples: readonly Sample[]): Verdict {
  const lastSeconds = samples.at(-1)?.atSeconds ?? 0;
  const minute = Math.min(60, lastSeconds / 3);
  const second = samples.filter(({ atSeconds }) => atSeconds > minute && atSeconds <= 2 * minute);
  const last = samples.filter(({ atSeconds }) => atSeconds > lastSeconds - minute);
  const megabytes = (of: readonly Sample[]): number =>
    Math.round(median(of.map((sample) => sample.residentBytes)) / 1e6);
  // The middle: connections come and go, what leaks stays.
  const open = (of: readonly Sample[]): number => median(of.map((sample) => sample.descriptors));
  const residentMB = {
    secondMinute: megabytes(second),
    lastMinute: megabytes(last),
    max: Math.round(Math.max(...samples.map((sample) => sample.residentBytes)) / 1e6),
  };
  const descriptors = { secondMinute: open(second), lastMinute: open(last) };
  const delays = samples.map((sample) => sample.frontDelayP99Ms).sort((a, b) => a - b);
  const frontDelayP99Ms = {
    median: rounded(median(delays)),
    p99: rounded(
      delays[Math.min(delays.length - 1, Math.floor(delays.length * 0.99))] ?? Number.NaN,
    ),
  };
  const lines = [
    {
      what:
        `resident memory: ${residentMB.secondMinute} MB in the second minute, ` +
        `${residentMB.lastMinute} MB in the last, at most ${residentMB.max} MB`,
      ok: residentMB.lastMinute <= residentMB.secondMinute * GROWTH_MAX,
    },
    {
      what:
        `open descriptors: ${descriptors.secondMinute} in the second minute, ` +
        `${descriptors.lastMinute} in the last`,
      ok: descriptors.lastMinute <= descriptors.secondMinute * GROWTH_MAX,
    },
    {
      what:
        `event-loop delay of the front, P99 of a second: ${frontDelayP99Ms.median} ms at ` +
        `the median, ${frontDelayP99Ms.p99} ms in the worst hundredth of the seconds`,
      ok: frontDelayP99Ms.p99 >= 0 && frontDelayP99Ms.p99 < FRONT_DELAY_MS_MAX,
    },
  ];
  return { residentMB, descriptors, frontDelayP99Ms, lines, ok: lines.every(({ ok }) => ok) };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
