import { defaultCluster } from './cluster.ts';
import { parseBytes, parseRate } from './options.ts';
import { quantaFor } from './pieces.ts';
import { defaultPuller } from './puller.ts';
import { noFaults, runShoal } from './shoal.ts';

/** One cell of the grid: so many agents pull an image over links of this rate. */
export interface Cell {
  nodes: number;
  link: string;
  image: string;
}

/** A pull time is against the ideal: image / link. */
export interface CellResult extends Cell {
  p95OverIdeal: number;
  maxOverIdeal: number;
  originOverImage: number;
  messagesPerShard: number;
  depthMax: number;
  unfinished: number;
  /** When the slowest node had the image's first shard, in shard times. */
  firstShardTimes: number;
  /** What a shard takes over the link, against the ideal time of the whole pull. */
  shardOverIdeal: number;
}

const GRID_NODES = [2, 8, 64, 256, 1000];
const GRID_LINKS = ['10Mbit', '25Mbit', '100Mbit', '1Gbit', '10Gbit'];
const GRID_IMAGES = ['64MB', '1GB'];

/** As the chart limits an agent: the grid is about lines. */
const CORES = 2;
/** Simulated time after which a run is called off. */
const DEADLINE_MS = 3_600_000;

export function gridCells(nodesMax: number): Cell[] {
  return GRID_NODES.filter((nodes) => nodes <= nodesMax).flatMap((nodes) =>
    GRID_IMAGES.flatMap((image) => GRID_LINKS.map((link) => ({ nodes, link, image }))),
  );
}

export function runCell({ nodes, link, image }: Cell, seed = 1): CellResult {
  const bytesPerMs = parseRate(link);
  const imageBytes = parseBytes(image);
  const { report, survivors } = runShoal({
    cluster: {
      ...defaultCluster,
      nodes,
      roots: nodes >= 256 ? 3 : 1,
      cores: CORES,
      layers: [imageBytes],
      linkBytesPerMs: bytesPerMs,
      originBytesPerMs: parseRate('10Gbit'),
      quanta: quantaFor(nodes, imageBytes, bytesPerMs),
      seed,
    },
    puller: defaultPuller,
    hasRun: true,
    faults: noFaults,
    spreadMs: 50,
    deadlineMs: DEADLINE_MS,
  });
  return {
    nodes,
    link,
    image,
    p95OverIdeal: report.p95Seconds / report.idealSeconds,
    maxOverIdeal: report.maxSeconds / report.idealSeconds,
    originOverImage: report.originBytes / report.imageBytes,
    messagesPerShard: report.messagesPerShard,
    depthMax: report.depthMax,
    unfinished: report.unfinished,
    firstShardTimes:
      Math.max(...survivors.map(({ firstMs, startMs }) => firstMs - startMs)) /
      (defaultCluster.shardBytes / bytesPerMs),
    shardOverIdeal: defaultCluster.shardBytes / imageBytes,
  };
}
