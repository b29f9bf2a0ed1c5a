import { Random } from './random.ts';
import { percentile, type Report } from './report.ts';

export interface DirectOptions {
  nodes: number;
  imageBytes: number;
  linkBytesPerMs: number;
  originBytesPerMs: number;
  spreadMs: number;
  seed: number;
}

/**
 * Everybody pulls from the origin, whose link all under way share alike (processor sharing): the
 * work a pull has got by some moment is the same for all, so they finish in the order in which they
 * began.
 */
export function runDirect(options: DirectOptions): {
  report: Omit<Report, 'wallSeconds'>;
  seconds: number[];
} {
  const { nodes, imageBytes, linkBytesPerMs, originBytesPerMs } = options;
  const random = new Random(options.seed);
  const starts = Array.from({ length: nodes }, () => random.next() * options.spreadMs).toSorted(
    (a, b) => a - b,
  );
  const seconds: number[] = [];
  /** Bytes that a pull under way since ever would have got; and where each pull under way began. */
  let workBytes = 0;
  let nowMs = 0;
  let started = 0;
  const from: number[] = [];
  while (seconds.length < nodes) {
    const active = started - seconds.length;
    const rate = active === 0 ? 0 : Math.min(linkBytesPerMs, originBytesPerMs / active);
    const startMs = starts[started] ?? Infinity;
    const endMs =
      active === 0 ? Infinity : nowMs + (from[seconds.length]! + imageBytes - workBytes) / rate;
    const nextMs = Math.min(startMs, endMs);
    workBytes += rate * (nextMs - nowMs);
    nowMs = nextMs;
    if (startMs <= endMs) {
      from.push(workBytes);
      started++;
    } else seconds.push((nowMs - starts[seconds.length]!) / 1000);
  }
  const ascending = seconds.toSorted((a, b) => a - b);
  const idealMs = Math.max(imageBytes / linkBytesPerMs, imageBytes / originBytesPerMs);
  return {
    seconds: ascending,
    report: {
      mode: 'direct',
      seed: options.seed,
      nodes,
      imageBytes,
      idealSeconds: idealMs / 1000,
      p50Seconds: percentile(ascending, 0.5),
      p95Seconds: percentile(ascending, 0.95),
      p99Seconds: percentile(ascending, 0.99),
      maxSeconds: percentile(ascending, 1),
      originBytes: nodes * imageBytes,
      originPeakGbps: (Math.min(originBytesPerMs, nodes * linkBytesPerMs) * 8) / 1e6,
      originRequests: nodes,
      uploadMaxOverMean: 0,
      messagesPerShard: 0,
      depthMax: 0,
      unfinished: 0,
      failedReads: 0,
    },
  };
}
