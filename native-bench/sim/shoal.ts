import { SILENCE_MS_MAX } from '../../lib/swarm/limits.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { Puller, type PullerOptions } from './puller.ts';
import type { SimNode } from './sim-node.ts';
import { percentile, type Report } from './report.ts';

/** Shares of the nodes that come to harm, each at a random moment of the run's expected length. */
export interface Faults {
  kill: number;
  unplug: number;
  freeze: number;
  /** Slow from the start on. */
  slow: number;
  /** Slow from a moment of the pull on. */
  throttle: number;
  lie: number;
  rootKill: number;
  rootFreeze: number;
  /** Roots that get no processor for a moment, as on a busy machine, and then continue. */
  rootPause: number;
  /** The same for some seconds. */
  rootStall: number;
  /**
   * Agents cut off, with each other, from the rest and its roots, but not from the origin; from the
   * start on.
   */
  partition: number;
}

export const noFaults: Faults = {
  kill: 0,
  unplug: 0,
  freeze: 0,
  slow: 0,
  throttle: 0,
  lie: 0,
  rootKill: 0,
  rootFreeze: 0,
  rootPause: 0,
  rootStall: 0,
  partition: 0,
};

/** A slowed node keeps this part of its link. */
const SLOWED_TO = 0.01;

/** Longer than a node may be silent once, shorter than it may be twice. */
const PAUSE_MS = 1.5 * SILENCE_MS_MAX;

/** Longer than a node may be silent at all. */
const STALL_MS = 3000;

/** How long agents run before a pull if they are to have tested their lines; their idle ticks. */
const RUN_MS = 15_000;
const IDLE_TICK_MS = 1_000;

export interface ShoalOptions {
  cluster: ClusterOptions;
  puller: PullerOptions;
  faults: Faults;
  /** Nodes begin at random within this time. */
  spreadMs: number;
  /**
   * Whether the agents have been running for a while when the pull begins, so they have tested
   * their lines. Otherwise they have just started.
   */
  hasRun?: boolean;
  /** Makes lines uneven before the run begins. */
  prepare?: (cluster: Cluster) => void;
  /** The run is cut off here, simulated. */
  deadlineMs: number;
}

export interface ShoalRun {
  report: Omit<Report, 'wallSeconds'>;
  cluster: Cluster;
  survivors: Puller[];
}

/**
 * The best that can be done: every node takes the whole image over its link, the origin sends it
 * once.
 */
export function idealMs(options: ClusterOptions): number {
  const bytes = options.layers.reduce((sum, layer) => sum + layer, 0);
  return Math.max(bytes / options.linkBytesPerMs, bytes / options.originBytesPerMs);
}

/** Runs one image pull of all nodes. Throws when a byte got lost or a wrong one was accepted. */
export function runShoal(options: ShoalOptions): ShoalRun {
  const cluster = new Cluster(options.cluster);
  options.prepare?.(cluster);
  const pullers = cluster.agents.map((node) => new Puller(cluster, node, options.puller));
  const fromMs = options.hasRun === true ? RUN_MS : 0;
  for (let ms = 0; ms < fromMs; ms += IDLE_TICK_MS)
    cluster.after(ms, () => {
      for (const { swarm } of cluster.agents) swarm.tick();
    });
  for (const puller of pullers)
    cluster.after(fromMs + cluster.random.next() * options.spreadMs, () => puller.start());
  harm(cluster, options.faults, fromMs, idealMs(options.cluster));
  const unfinished = (): Puller[] =>
    pullers.filter(({ node, finishedMs }) => node.condition === 'well' && Number.isNaN(finishedMs));
  let checkedMs = -Infinity;
  let over = false;
  cluster.queue.run(() => {
    if (cluster.queue.nowMs - checkedMs > 50) {
      checkedMs = cluster.queue.nowMs;
      over = unfinished().length === 0;
    }
    return over;
  }, fromMs + options.deadlineMs);
  const survivors = pullers.filter(({ node }) => node.condition === 'well');
  assertConserved(cluster, survivors);
  return { report: report(cluster, options, survivors, unfinished().length), cluster, survivors };
}

function harm(cluster: Cluster, faults: Faults, fromMs: number, withinMs: number): void {
  const { random } = cluster;
  const victims = random.shuffled(cluster.agents);
  const take = (share: number): typeof victims =>
    victims.splice(0, Math.round(share * cluster.agents.length));
  const later = (happening: () => void): void =>
    cluster.after(fromMs + random.next() * withinMs, happening);
  const slowDown = ({ station }: SimNode): void => {
    station.upBytesPerMs *= SLOWED_TO;
    station.downBytesPerMs *= SLOWED_TO;
  };
  for (const node of take(faults.kill)) later(() => node.fail('dead'));
  for (const node of take(faults.unplug)) later(() => node.fail('unplugged'));
  for (const node of take(faults.freeze)) later(() => node.fail('frozen'));
  for (const node of take(faults.lie)) node.station.lies = true;
  for (const node of take(faults.partition)) node.island = 1;
  for (const node of take(faults.slow)) slowDown(node);
  for (const node of take(faults.throttle)) later(() => slowDown(node));
  const roots = random.shuffled(cluster.roots);
  const takeRoots = (share: number): typeof roots =>
    roots.splice(0, Math.round(share * cluster.roots.length));
  for (const node of takeRoots(faults.rootKill)) later(() => node.fail('dead'));
  for (const node of takeRoots(faults.rootFreeze)) later(() => node.fail('frozen'));
  for (const node of takeRoots(faults.rootPause)) later(() => node.stall(PAUSE_MS));
  for (const node of takeRoots(faults.rootStall)) later(() => node.stall(STALL_MS));
}

/**
 * Every byte sent has arrived, was thrown away, or is on its way; every finished node has every
 * shard.
 */
function assertConserved(cluster: Cluster, survivors: readonly Puller[]): void {
  const { sentBytes, arrivedBytes, wastedBytes } = cluster.network;
  const stations = [...cluster.agents, ...cluster.roots].map(({ station }) => station);
  const received = stations.reduce((sum, station) => sum + station.receivedBytes, 0);
  const sent = stations.reduce((sum, station) => sum + station.sentBytes, cluster.origin.bytes);
  if (received !== arrivedBytes || sent !== sentBytes || arrivedBytes + wastedBytes > sentBytes) {
    throw new Error(
      `bytes were lost or made: sent ${sentBytes} (${sent}), arrived ${arrivedBytes} ` +
        `(${received}), thrown away ${wastedBytes}`,
    );
  }
  for (const { node, finishedMs } of survivors) {
    if (!Number.isNaN(finishedMs) && node.held.includes(0))
      throw new Error(`${node.member.node} finished without a shard`);
  }
}

function report(
  cluster: Cluster,
  options: ShoalOptions,
  survivors: readonly Puller[],
  unfinished: number,
): Omit<Report, 'wallSeconds'> {
  // A slowed node cannot be quicker than its link: it has to finish, but its time says nothing
  // about the swarm.
  const timed = survivors.filter(
    ({ node, finishedMs }) =>
      !Number.isNaN(finishedMs) && node.station.downBytesPerMs === options.cluster.linkBytesPerMs,
  );
  const seconds = timed
    .map(({ finishedMs, startMs }) => (finishedMs - startMs) / 1000)
    .toSorted((a, b) => a - b);
  const uploads = survivors.map(({ node }) => node.station.sentBytes);
  const mean = uploads.reduce((sum, bytes) => sum + bytes, 0) / Math.max(1, uploads.length);
  let transfers = 0;
  for (const { held } of [...cluster.agents, ...cluster.roots].map((node) => node))
    transfers += held.reduce((sum, one) => sum + one, 0);
  let depthMax = 0;
  for (const { swarm } of cluster.agents) depthMax = Math.max(depthMax, swarm.depthMax());
  return {
    mode: 'shoal',
    seed: options.cluster.seed,
    nodes: options.cluster.nodes,
    imageBytes: cluster.imageBytes,
    idealSeconds: idealMs(options.cluster) / 1000,
    p50Seconds: percentile(seconds, 0.5),
    p95Seconds: percentile(seconds, 0.95),
    p99Seconds: percentile(seconds, 0.99),
    maxSeconds: percentile(seconds, 1),
    originBytes: cluster.origin.bytes,
    originPeakGbps: (cluster.origin.peakBytesPerMs(1000) * 8) / 1e6,
    originRequests: cluster.origin.requests,
    uploadMaxOverMean: mean === 0 ? 0 : Math.max(...uploads) / mean,
    messagesPerShard: transfers === 0 ? 0 : (cluster.stats.asks + cluster.stats.stats) / transfers,
    depthMax,
    unfinished,
    failedReads: survivors.reduce((sum, { retries }) => sum + retries, 0),
  };
}
