import type { PreadReport } from '../pread/report.ts';

/** One server's medians at one size of read. */
export interface Row {
  server: string;
  sizeBytes: number;
  tls: boolean;
  requestsPerSecond: number;
  gigabytesPerSecond: number;
  cpuSecondsPerGB: number;
  /** Of all runs, at full load. */
  p99Us: number;
  /**
   * At half of what the first rival manages, the median of as many runs; null when it was not
   * measured.
   */
  p99UsHalfLoad: number | null;
  errors: number;
  mismatches: number;
  /**
   * The first server's figure over this one's, run by run, at the median: above 1, the first is
   * faster or cheaper.
   */
  speedRatio: number;
  cpuRatio: number;
}

/**
 * Runs of several servers, one after the other in turn, as rows; the first server is the one the
 * others are held against.
 */
export function compare(
  runs: ReadonlyMap<string, readonly PreadReport[]>,
  halfLoad: ReadonlyMap<string, readonly PreadReport[]>,
  tls: boolean,
): Row[] {
  const [first = []] = runs.values();
  return [...runs].map(([server, reports]) => {
    const of = (field: (report: PreadReport) => number): number => median(reports.map(field));
    const halfLoadReports = halfLoad.get(server);
    const ratio = (field: (report: PreadReport) => number): number =>
      median(reports.map((report, run) => field(first[run]!) / field(report)));
    return {
      server,
      tls,
      sizeBytes: reports[0]!.sizeBytes,
      requestsPerSecond: of((report) => report.requestsPerSecond),
      gigabytesPerSecond: of((report) => report.gigabytesPerSecond),
      cpuSecondsPerGB: of((report) => report.cpuSecondsPerGB ?? Number.NaN),
      p99Us: of((report) => report.latencyUs.p99),
      p99UsHalfLoad:
        halfLoadReports === undefined
          ? null
          : median(halfLoadReports.map((report) => report.latencyUs.p99)),
      errors: reports.reduce((sum, report) => sum + report.errors, 0),
      mismatches: reports.reduce((sum, report) => sum + report.mismatches, 0),
      speedRatio: ratio((report) => report.requestsPerSecond),
      cpuRatio: 1 / ratio((report) => report.cpuSecondsPerGB ?? Number.NaN),
    };
  });
}

/** The middle one; of an even number, the mean of the two. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}
