import { readFileSync } from 'node:fs';
import { defaultCluster, type ClusterOptions } from './cluster.ts';
import { defaultPuller } from './puller.ts';
import { noFaults, runShoal } from './shoal.ts';

interface Reference {
  nodes: number;
  node: { linkGbps: number; diskMBps: number };
  rows: {
    image: string;
    layers: number;
    layerMB: number;
    p95Seconds: number;
    originPeakGbps: number;
  }[];
}

type Measured = Pick<TableRow, 'p95Seconds' | 'originPeakGbps'>;

export interface TableRow {
  image: string;
  /** Where the runtime's content store is read in place, which is the default. */
  p95Seconds: number;
  originPeakGbps: number;
  /** Where it is not, as with `discard_unpacked_layers`. */
  cachedP95Seconds: number;
  cachedOriginPeakGbps: number;
  seedP95Seconds: number;
  seedOriginPeakGbps: number;
}

const MIB = 1024 * 1024;

/**
 * A coarser unit than a shard: sixteen times fewer events, and next to a disk of 220 MB/s no other
 * times.
 */
const UNIT_BYTES = 32 * MIB;

/**
 * Monitoring samples a registry's link over some seconds; the reference does not say over how many.
 */
const PEAK_WINDOW_MS = 10_000;

export const tableAssumptions = [
  '1000 nodes on 10 Gbit/s links, beginning within 5 s; 3 roots; a registry on 10 Gbit/s ' +
    '(--origin-link) with 10 ms to the first byte',
  'agent: 1 vCPU for bytes and messages (0.6 CPU-s per GB received, 0.4 sent, 60 us a ' +
    'message), an arena of 256 MiB: 192 for bytes the disk has not taken (128 if they wait ' +
    "for the runtime's store), the rest on their way",
  "disk: 220 MB/s shared by reads and writes; each byte passes it 3 times: into the runtime's " +
    "layer, out of it and unpacked (layers that do not compress); a fourth time, into Shoal's " +
    "cache, where the runtime's store is not used",
  'runtime: 3 layers pulled at once; a layer is unpacked when it has come, and its time ' +
    'on the disk counts; P95 is of pull and unpacking together',
  `unit of transfer ${UNIT_BYTES / MIB} MiB instead of 2 MiB, to simulate 114 GB in ` +
    'minutes; MB and GB are taken as 2^20 and 2^30',
  `origin peak: the busiest ${PEAK_WINDOW_MS / 1000} s`,
];

/** Times a byte passes the disk until it is pulled, and what of memory may wait for the disk. */
const disks = {
  store: { pullPasses: 1, memoryBytes: 128 * MIB },
  cache: { pullPasses: 2, memoryBytes: 192 * MIB },
};

/**
 * The reference's rows with our figures beside them; `told` is called after each. The registry's
 * link bounds what all nodes together read from it.
 */
export function runTable(
  seed: number,
  originBytesPerMs: number,
  told: (row: TableRow) => void,
): TableRow[] {
  const reference = JSON.parse(
    readFileSync(new URL('../../test/golden/table.json', import.meta.url), 'utf8'),
  ) as Reference;
  return reference.rows.map((row) => {
    const linkBytesPerMs = (reference.node.linkGbps * 1e9) / 8 / 1000;
    const cluster: ClusterOptions = {
      ...defaultCluster,
      nodes: reference.nodes,
      layers: Array<number>(row.layers).fill(row.layerMB * MIB),
      linkBytesPerMs,
      originBytesPerMs,
      shardBytes: UNIT_BYTES,
      quanta: 4,
      cores: 1,
      tickMs: 500,
      seed,
    };
    const puller = {
      ...defaultPuller,
      windowShards: 3,
      window: { leadShards: 3, aheadShards: 8 },
      diskBytesPerMs: reference.node.diskMBps * 1000,
    };
    const [store, cache] = [disks.store, disks.cache].map((disk) => {
      const run = runShoal({
        cluster,
        puller: { ...puller, ...disk },
        faults: noFaults,
        spreadMs: 5000,
        deadlineMs: 3_600_000,
      });
      if (run.report.unfinished > 0)
        throw new Error(`${row.image}: ${run.report.unfinished} nodes did not finish`);
      return {
        p95Seconds: run.report.p95Seconds,
        originPeakGbps: (run.cluster.origin.peakBytesPerMs(PEAK_WINDOW_MS) * 8) / 1e6,
      };
    }) as [Measured, Measured];
    const done: TableRow = {
      image: row.image,
      ...store,
      cachedP95Seconds: cache.p95Seconds,
      cachedOriginPeakGbps: cache.originPeakGbps,
      seedP95Seconds: row.p95Seconds,
      seedOriginPeakGbps: row.originPeakGbps,
    };
    told(done);
    return done;
  });
}
