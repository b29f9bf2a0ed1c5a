import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import Table from 'cli-table3';
import { treeShape } from '../../lib/swarm/shape.ts';
import { defaultCluster } from './cluster.ts';
import { runDirect } from './direct.ts';
import { runLayerTree } from './layer-tree.ts';
import { CONDITIONS, type ConditionResult, runCondition } from './conditions.ts';
import { parseOptions, type SimOptions } from './options.ts';
import { type CellResult, gridCells, runCell } from './grid.ts';
import { plotFinish } from './plot.ts';
import { defaultPuller } from './puller.ts';
import type { Report } from './report.ts';
import { runShoal } from './shoal.ts';
import { ablate, rulesNamed, tableRow } from './ablation.ts';
import { runTable, tableAssumptions } from './table.ts';

/** Ten thousand nodes need some GB of heap; V8's own limit is lower on small machines. */
setFlagsFromString('--max-old-space-size=7000');

/** Simulated time after which a run is aborted. */
const DEADLINE_MS = 3_600_000;

const options = parseOptions(process.argv.slice(2));
const startedMs = performance.now();
if (options.grid) grid(options);
else if (options.conditions) conditions(options);
else if (options.table) table(options);
else if (options.ablate !== undefined) ablation(options.ablate);
else single(options);

function single(sim: SimOptions): void {
  const { report, seconds } = run(sim);
  const full: Report = { ...report, wallSeconds: (performance.now() - startedMs) / 1000 };
  if (sim.plot !== undefined)
    writeFileSync(
      sim.plot,
      plotFinish(
        `${sim.mode}, ${sim.nodes} nodes`,
        [{ name: sim.mode, seconds }],
        report.idealSeconds,
      ),
    );
  if (sim.json) console.log(JSON.stringify(full));
  else print(full);
  if (full.unfinished > 0) process.exitCode = 1;
}

function run(sim: SimOptions): { report: Omit<Report, 'wallSeconds'>; seconds: readonly number[] } {
  const layers = Array<number>(sim.layers).fill(Math.ceil(sim.imageBytes / sim.layers));
  if (sim.mode === 'direct') return runDirect(sim);
  if (sim.mode === 'layer-tree')
    return runLayerTree({
      ...sim,
      layers,
      originFirstByteMs: defaultCluster.originFirstByteMs,
      fanout: sim.treeFanout,
    });
  const shape =
    sim.fanout === null && sim.ownerFanout === null
      ? undefined
      : {
          ...treeShape,
          fanout: sim.fanout ?? treeShape.fanout,
          ownerFanout: sim.ownerFanout ?? treeShape.ownerFanout,
        };
  const cluster = { ...defaultCluster, ...sim, layers, shape };
  const { report, survivors } = runShoal({
    cluster,
    puller: { ...defaultPuller, windowShards: sim.windowShards },
    faults: sim.faults,
    hasRun: sim.tested,
    spreadMs: sim.spreadMs,
    deadlineMs: DEADLINE_MS,
  });
  return {
    report,
    seconds: survivors
      .map(({ startMs, finishedMs }) => (finishedMs - startMs) / 1000)
      .filter((value) => !Number.isNaN(value))
      .toSorted((a, b) => a - b),
  };
}

function print(report: Report): void {
  const rows: [string, string][] = [
    [
      'pull time P50 / P95 / P99 / max',
      `${[report.p50Seconds, report.p95Seconds, report.p99Seconds, report.maxSeconds]
        .map((value) => value.toFixed(3))
        .join(' / ')} s`,
    ],
    [
      'ideal, and P95 against it',
      `${report.idealSeconds.toFixed(3)} s, ` +
        `${(report.p95Seconds / report.idealSeconds).toFixed(3)} x`,
    ],
    [
      'from the origin',
      `${(report.originBytes / report.imageBytes).toFixed(3)} x the image, ` +
        `${report.originRequests} requests, peak ${report.originPeakGbps.toFixed(2)} Gbit/s`,
    ],
    ['uploads, busiest node over mean', report.uploadMaxOverMean.toFixed(2)],
    ['messages a shard', report.messagesPerShard.toFixed(2)],
    ['deepest tree', String(report.depthMax)],
    ['survivors that did not finish', String(report.unfinished)],
    ['simulated in', `${report.wallSeconds.toFixed(1)} s`],
  ];
  const shown = new Table({
    head: [
      `${report.mode}, ${report.nodes} nodes`,
      `${(report.imageBytes / 1e9).toFixed(2)} GB, seed ${report.seed}`,
    ],
    style: { head: [], border: [] },
  });
  shown.push(...rows);
  console.log(shown.toString());
}

/** Prints each cell when it is complete; exits with 1 if a node did not finish. */
function grid(sim: SimOptions): void {
  const results: CellResult[] = [];
  for (const cell of gridCells(sim.nodes)) {
    const result = runCell(cell, sim.seed);
    results.push(result);
    if (result.unfinished > 0) process.exitCode = 1;
    if (!sim.json)
      console.log(
        `${cell.nodes} nodes, ${cell.link}, ${cell.image}: ` +
          `P95 ${result.p95OverIdeal.toFixed(2)}, ` +
          `max ${result.maxOverIdeal.toFixed(2)} x the ideal; ` +
          `origin ${result.originOverImage.toFixed(3)} x; ` +
          `${result.messagesPerShard.toFixed(1)} messages a shard; depth ${result.depthMax}; ` +
          `first shard after ${result.firstShardTimes.toFixed(1)} shard times; ` +
          `${result.unfinished} unfinished`,
      );
  }
  if (sim.json) console.log(JSON.stringify({ cells: results }));
}

/** Prints each pull when it is complete; exits with 1 if a node did not finish. */
function conditions(sim: SimOptions): void {
  const results: ConditionResult[] = [];
  for (const link of ['25Mbit', '1Gbit'])
    for (const condition of CONDITIONS) {
      const result = runCondition(condition, { link, imageBytes: 64e6, seed: sim.seed });
      results.push(result);
      if (result.unfinished > 0) process.exitCode = 1;
      if (!sim.json)
        console.log(
          `${result.name}, ${link}: P95 ${result.p95OverPossible.toFixed(2)}, ` +
            `max ${result.maxOverPossible.toFixed(2)} x what is possible; ` +
            `origin ${result.originOverImage.toFixed(3)} x; ` +
            `${result.messagesPerShard.toFixed(1)} messages a shard; ` +
            (result.crossedOverImage === null
              ? ''
              : `${result.crossedOverImage.toFixed(2)} x the image into the site; `) +
            `${result.unfinished} unfinished`,
        );
    }
  if (sim.json) console.log(JSON.stringify({ conditions: results }));
}

/** Prints the rows of docs/SWARM.md; exits with 1 if a pull is as good without its rule. */
function ablation(name: string): void {
  for (const rule of rulesNamed(name)) {
    const result = ablate(rule);
    console.log(tableRow(result));
    if (result.isNeeded) continue;
    console.error(`rule ${rule.name}: the pull is as good without it; delete it, or name another`);
    process.exitCode = 1;
  }
}

function table(sim: SimOptions): void {
  if (!sim.json) {
    console.log('Assumptions:');
    for (const assumption of tableAssumptions) console.log(`  - ${assumption}`);
  }
  const rows = runTable(sim.seed, sim.originBytesPerMs, (row) => {
    if (!sim.json)
      console.log(
        `${row.image}: P95 ${row.p95Seconds.toFixed(1)} s (without the runtime's store ` +
          `${row.cachedP95Seconds.toFixed(1)}, reference ${row.seedP95Seconds}), origin peak ` +
          `${row.originPeakGbps.toFixed(2)} Gbit/s (${row.cachedOriginPeakGbps.toFixed(2)}, ` +
          `${row.seedOriginPeakGbps})`,
      );
  });
  if (sim.json) console.log(JSON.stringify({ rows }));
  else {
    const shown = new Table({
      head: [
        'image',
        'P95 s',
        'without the store',
        'reference',
        'origin peak Gbit/s',
        'without',
        'reference',
      ],
      style: { head: [], border: [] },
    });
    for (const row of rows)
      shown.push([
        row.image,
        row.p95Seconds.toFixed(1),
        row.cachedP95Seconds.toFixed(1),
        row.seedP95Seconds,
        row.originPeakGbps.toFixed(2),
        row.cachedOriginPeakGbps.toFixed(2),
        row.seedOriginPeakGbps,
      ]);
    console.log(shown.toString());
  }
}
