/** What one run comes to; field for field the JSON of `npm run sim -- --json`. */
export interface Report {
  mode: 'shoal' | 'direct' | 'layer-tree';
  seed: number;
  nodes: number;
  imageBytes: number;
  idealSeconds: number;
  p50Seconds: number;
  p95Seconds: number;
  p99Seconds: number;
  maxSeconds: number;
  originBytes: number;
  /** Over the busiest second. */
  originPeakGbps: number;
  originRequests: number;
  uploadMaxOverMean: number;
  messagesPerShard: number;
  depthMax: number;
  /** Survivors that were not whole at the end. */
  unfinished: number;
  /** Reads that failed and were tried again by the client. */
  failedReads: number;
  wallSeconds: number;
}

/** Nearest-rank percentile of ascending values; 0 of none. */
export function percentile(ascending: readonly number[], share: number): number {
  if (ascending.length === 0) return 0;
  return ascending[
    Math.min(ascending.length - 1, Math.max(0, Math.ceil(share * ascending.length) - 1))
  ]!;
}
