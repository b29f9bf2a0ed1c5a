import Table from 'cli-table3';
import { Latencies } from './latency.ts';
import type { LoadTally } from './load.ts';

/** What `shoal bench pread --json` prints, field for field (docs/SPEC.md 9). */
export interface PreadReport {
  url: string;
  sizeBytes: number;
  connections: number;
  requestsPerSecond: number;
  gigabytesPerSecond: number;
  /** Of the server's process; null when it was not named. */
  cpuSecondsPerGB: number | null;
  latencyUs: { p50: number; p99: number; p999: number };
  errors: number;
  mismatches: number;
}

/**
 * Adds up what the threads saw in `seconds`; `cpuSeconds` is the server's processor time meanwhile.
 */
export function reportOf(
  run: {
    url: string;
    sizeBytes: number;
    connections: number;
    seconds: number;
    cpuSeconds: number | null;
  },
  tallies: readonly LoadTally[],
): PreadReport {
  const latencies = new Latencies();
  const sum = { requests: 0, bytes: 0, errors: 0, mismatches: 0 };
  for (const tally of tallies) {
    latencies.merge(new Latencies(tally.latencies));
    for (const field of ['requests', 'bytes', 'errors', 'mismatches'] as const)
      sum[field] += tally[field];
  }
  const us = (share: number): number => Math.round(latencies.percentile(share));
  return {
    url: run.url,
    sizeBytes: run.sizeBytes,
    connections: run.connections,
    requestsPerSecond: rounded(sum.requests / run.seconds),
    gigabytesPerSecond: rounded(sum.bytes / 1e9 / run.seconds),
    cpuSecondsPerGB:
      run.cpuSeconds === null || sum.bytes === 0
        ? null
        : rounded(run.cpuSeconds / (sum.bytes / 1e9)),
    latencyUs: { p50: us(0.5), p99: us(0.99), p999: us(0.999) },
    errors: sum.errors,
    mismatches: sum.mismatches,
  };
}

export function renderReport(report: PreadReport, problem: string | null): string {
  const { latencyUs, cpuSecondsPerGB } = report;
  const table = new Table({
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'right'],
  });
  table.push(
    ['reads per second', report.requestsPerSecond.toFixed(0)],
    ['GB/s', report.gigabytesPerSecond.toFixed(3)],
    ['latency P50', `${latencyUs.p50} us`],
    ['latency P99', `${latencyUs.p99} us`],
    ['latency P99.9', `${latencyUs.p999} us`],
    ["server's CPU-seconds per GB", cpuSecondsPerGB === null ? '-' : cpuSecondsPerGB.toFixed(3)],
    ['errors', String(report.errors)],
    ['mismatches', String(report.mismatches)],
  );
  const failure = problem === null ? '' : `first failure: ${problem}\n`;
  return `${report.url}\n${table.toString()}\n${failure}`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
