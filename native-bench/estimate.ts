/*
 * `shoal estimate`: simulates the time of a rollout through Shoal and directly from the registry.
 * The simulated nodes run the decisions of lib/swarm.
 */
import { defaultCluster } from './sim/cluster.ts';
import { runDirect } from './sim/direct.ts';
import { defaultPuller } from './sim/puller.ts';
import { idealMs, noFaults, runShoal } from './sim/shoal.ts';

interface EstimateOptions {
  nodes: number;
  imageBytes: number;
  layers: number;
  linkBytesPerMs: number;
  originLinkBytesPerMs: number;
  roots: number;
  /** Nodes start at random within this time. */
  spreadMs: number;
  seed: number;
}

export interface PullEstimate {
  p50Seconds: number;
  p95Seconds: number;
  originBytes: number;
}

export interface Estimate {
  idealSeconds: number;
  shoal: PullEstimate;
  direct: PullEstimate;
  /** The simulation's unit of transfer. */
  unitBytes: number;
}

const MIB = 2 ** 20;
/**
 * Units of transfer in a simulated image: enough for the shape, and few enough to finish in
 * seconds.
 */
const UNITS_MAX = 128;
const DEADLINE_MS = 24 * 3_600_000;

export function estimate(options: EstimateOptions): Estimate {
  const { nodes, imageBytes, layers, linkBytesPerMs, originLinkBytesPerMs, spreadMs } = options;
  const unitBytes = Math.max(2 * MIB, Math.ceil(imageBytes / UNITS_MAX / MIB) * MIB);
  const cluster = {
    ...defaultCluster,
    nodes,
    layers: Array<number>(layers).fill(Math.ceil(imageBytes / layers)),
    linkBytesPerMs,
    originBytesPerMs: originLinkBytesPerMs,
    roots: options.roots,
    shardBytes: unitBytes,
    quanta: 4,
    // A monitoring interval that is cheap enough for long runs.
    tickMs: 500,
    seed: options.seed,
  };
  const { report } = runShoal({
    cluster,
    puller: { ...defaultPuller, windowShards: Math.max(3, Math.round((32 * MIB) / unitBytes)) },
    faults: noFaults,
    spreadMs,
    deadlineMs: DEADLINE_MS,
  });
  if (report.unfinished > 0)
    throw new Error(`${report.unfinished} of ${nodes} simulated pulls did not end within a day`);
  const direct = runDirect({
    nodes,
    imageBytes,
    linkBytesPerMs,
    originBytesPerMs: originLinkBytesPerMs,
    spreadMs,
    seed: options.seed,
  }).report;
  const part = ({ p50Seconds, p95Seconds, originBytes }: PullEstimate): PullEstimate => ({
    p50Seconds,
    p95Seconds,
    originBytes,
  });
  return {
    idealSeconds: idealMs(cluster) / 1000,
    shoal: part(report),
    direct: part(direct),
    unitBytes,
  };
}
