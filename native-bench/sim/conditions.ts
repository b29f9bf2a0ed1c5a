import { type Cluster, type ClusterOptions, defaultCluster } from './cluster.ts';
import type { Site } from './network.ts';
import { parseRate } from './options.ts';
import { quantaFor } from './pieces.ts';
import { defaultPuller, type Puller } from './puller.ts';
import { percentile } from './report.ts';
import { type Faults, noFaults, runShoal } from './shoal.ts';

/** Uneven lines, or a failure of a third of the nodes, that a pull is to bear. */
export interface Condition {
  name: string;
  cluster?: Partial<ClusterOptions>;
  faults?: Partial<Faults>;
  /** The part of a node's line at which shards come; default 1. It decides how large pieces are. */
  flowShare?: number;
  /** Makes the lines uneven. */
  prepare?: (cluster: Cluster) => void;
  /** What a node's pull takes at least, in ms; by default the image over its line. */
  possibleMs?: (cluster: Cluster, puller: Puller) => number;
}

/** Pull times of the survivors, each against what was possible for it. */
export interface ConditionResult {
  name: string;
  link: string;
  p95OverPossible: number;
  maxOverPossible: number;
  originOverImage: number;
  messagesPerShard: number;
  unfinished: number;
  /** What came into the site, against the image; null without one. */
  crossedOverImage: number | null;
}

const NODES = 40;
const THIRD = 1 / 3;
const UPLINK_SHARE = 0.1;

/** The line of a site that 20 nodes share. */
const SITE_BYTES_PER_MS = parseRate('50Mbit');

/** One way between two zones: 150 ms there and back. */
const ZONE_DELAY_MS = 75;

function stationsIn(cluster: Cluster, zone: string): Cluster['agents'] {
  return [...cluster.agents, ...cluster.roots].filter(({ member }) => member.zone === zone);
}

function imageOver(cluster: Cluster, bytesPerMs: number): number {
  return cluster.imageBytes / bytesPerMs;
}

function scaleRoots(cluster: Cluster, factor: number): void {
  for (const { station } of cluster.roots) {
    station.upBytesPerMs *= factor;
    station.downBytesPerMs *= factor;
  }
}

function placeAt(cluster: Cluster, zone: string, site: Omit<Site, 'downFreeMs' | 'receivedBytes'>) {
  const placed: Site = { ...site, downFreeMs: 0, receivedBytes: 0 };
  for (const { station } of stationsIn(cluster, zone)) station.site = placed;
}

export const CONDITIONS: readonly Condition[] = [
  {
    name: 'half of the nodes at a quarter of the line',
    prepare: ({ agents }) => {
      for (const { station } of agents.slice(0, NODES / 2)) {
        station.upBytesPerMs /= 4;
        station.downBytesPerMs /= 4;
      }
    },
  },
  {
    name: 'uplinks of a tenth of the downlinks',
    flowShare: UPLINK_SHARE,
    prepare: ({ agents }) => {
      for (const { station } of agents) station.upBytesPerMs *= UPLINK_SHARE;
    },
    // All that nodes receive is sent by nodes and the root.
    possibleMs: (cluster) =>
      (cluster.imageBytes * cluster.agents.length) /
      [...cluster.agents, ...cluster.roots].reduce(
        (sum, { station }) => sum + station.upBytesPerMs,
        0,
      ),
  },
  {
    name: 'a site of 20 nodes behind one line of 50 Mbit/s',
    cluster: { zones: 2 },
    prepare: (cluster) =>
      placeAt(cluster, 'zone-1', { delayMs: 0, downBytesPerMs: SITE_BYTES_PER_MS }),
    possibleMs: (cluster, { node: { station } }) =>
      imageOver(
        cluster,
        station.site === null
          ? station.downBytesPerMs
          : Math.min(SITE_BYTES_PER_MS, station.downBytesPerMs),
      ),
  },
  {
    name: 'a root ten times as fast',
    prepare: (cluster) => scaleRoots(cluster, 10),
  },
  {
    name: 'a root at a tenth of the line',
    flowShare: 0.1,
    prepare: (cluster) => scaleRoots(cluster, 0.1),
    possibleMs: (cluster) => imageOver(cluster, cluster.roots[0]!.station.upBytesPerMs),
  },
  {
    name: '150 ms of round trip between two zones',
    cluster: { zones: 2 },
    prepare: (cluster) =>
      placeAt(cluster, 'zone-1', { delayMs: ZONE_DELAY_MS, downBytesPerMs: Infinity }),
  },
  ...(['kill', 'unplug', 'freeze', 'slow', 'throttle', 'lie', 'partition'] as const).map(
    (fault) => ({
      name: `a third: ${fault}`,
      faults: { [fault]: THIRD },
    }),
  ),
];

/** Runs the pull of an image by 40 nodes with one root under a condition. */
export function runCondition(
  condition: Condition,
  { link, imageBytes, seed }: { link: string; imageBytes: number; seed: number },
): ConditionResult {
  const linkBytesPerMs = parseRate(link);
  const { report, cluster, survivors } = runShoal({
    cluster: {
      ...defaultCluster,
      nodes: NODES,
      roots: 1,
      cores: 2,
      layers: [imageBytes],
      linkBytesPerMs,
      originBytesPerMs: parseRate('10Gbit'),
      quanta: quantaFor(
        NODES,
        imageBytes,
        linkBytesPerMs,
        linkBytesPerMs * (condition.flowShare ?? 1),
      ),
      seed,
      ...condition.cluster,
    },
    puller: defaultPuller,
    hasRun: true,
    faults: { ...noFaults, ...condition.faults },
    ...(condition.prepare === undefined ? {} : { prepare: condition.prepare }),
    spreadMs: 50,
    deadlineMs: 3_600_000,
  });
  const possible =
    condition.possibleMs ??
    ((_: Cluster, { node }: Puller) => imageOver(cluster, node.station.downBytesPerMs));
  const over = survivors
    .filter(({ finishedMs }) => !Number.isNaN(finishedMs))
    .map((puller) => (puller.finishedMs - puller.startMs) / possible(cluster, puller))
    .toSorted((a, b) => a - b);
  const site = stationsIn(cluster, 'zone-1')[0]?.station.site;
  return {
    name: condition.name,
    link,
    p95OverPossible: percentile(over, 0.95),
    maxOverPossible: percentile(over, 1),
    originOverImage: report.originBytes / report.imageBytes,
    messagesPerShard: report.messagesPerShard,
    unfinished: report.unfinished,
    crossedOverImage: site ? site.receivedBytes / report.imageBytes : null,
  };
}
