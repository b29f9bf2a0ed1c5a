import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import { fetch } from 'undici';
import { BenchOrigin } from './origin.ts';
import { measurePreads } from './pread.ts';
import type { PreadReport } from './pread/report.ts';
import { compare } from './vs/comparison.ts';
import { hasProgram, pinSelf } from './vs/pinned-process.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * Measures the cost of the audit log at full speed: `node native-bench/audit.ts`. Three nodes share
 * one core: without the log, with a file, with stdout. They alternate in reversing order, with warm
 * reads from memory, where a line costs relatively most. The generator, on the other core, reads
 * stdout like a log collector.
 */
const SEED = 3;
const MODES = ['off', 'file', 'stdout'] as const;

const options = new Command('audit')
  .description('what the audit log costs at full speed')
  .option('--megabytes <n>', 'size of the object, MiB', '64')
  .option('--size <bytes>', 'length of a read', '65536')
  .option('--seconds <n>', 'length of a run', '2')
  .option('--runs <n>', 'runs of each mode, in turn; medians count', '7')
  .option('--connections <n>', 'reads at once', '16')
  .option('--json', 'one JSON object instead of the table')
  .parse()
  .opts<{
    megabytes: string;
    size: string;
    seconds: string;
    runs: string;
    connections: string;
    json?: boolean;
  }>();

const totalBytes = Number(options.megabytes) * 2 ** 20;
const core = availableParallelism() > 1 && hasProgram('taskset') ? 0 : null;
if (core !== null) pinSelf(1);
const dir = await mkdtemp(join(tmpdir(), 'shoal-audit-'));
const origin = new BenchOrigin(SEED, totalBytes);
const nodes: Awaited<ReturnType<typeof startShoal>>[] = [];
const runs = new Map<string, PreadReport[]>(MODES.map((mode) => [mode, []]));
let lines: Record<string, { written: number; dropped: number }> = {};
try {
  const originUrl = await origin.listen();
  for (const audit of MODES)
    nodes.push(
      await startShoal({ name: audit, dir, core, originUrl, objectBytes: totalBytes, audit }),
    );
  for (const node of nodes) await (await fetch(node.url)).arrayBuffer();
  // The first turn compiles the code; it is not counted.
  for (let turn = 0; turn <= Number(options.runs); turn++) {
    for (const node of turn % 2 === 0 ? nodes : nodes.toReversed()) {
      const { report, problem } = await measurePreads({
        url: node.url,
        size: Number(options.size),
        pattern: 'random',
        seconds: Number(options.seconds),
        warmup: 0,
        connections: Number(options.connections),
        threads: 1,
        pid: node.process.pid,
      });
      if (problem !== null) throw new Error(`${node.name}: ${problem}`);
      if (turn > 0) runs.get(node.name)!.push(report);
    }
  }
  lines = Object.fromEntries(
    await Promise.all(
      nodes.map(async (node) => [node.name, await auditLines(node.exporter)] as const),
    ),
  );
} finally {
  await Promise.all(nodes.map((node) => node.process.stop()));
  origin.close();
  await rm(dir, { recursive: true, force: true });
}

/** Lines that the node has written and dropped, from its metrics. */
async function auditLines(exporter: string): Promise<{ written: number; dropped: number }> {
  const metrics = await (await fetch(`${exporter}/metrics`)).text();
  const of = (outcome: string): number =>
    Number(
      new RegExp(`^shoal_audit_lines_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm').exec(
        metrics,
      )?.[1],
    );
  return { written: of('written'), dropped: of('dropped') };
}

// A ratio of `compare` is the first's over another's: above 1, reading without the log is faster.
const rows = compare(runs, new Map(), false).map((row) => ({
  ...row,
  throughputOfOff: 1 / row.speedRatio,
  cpuOfOff: row.cpuRatio,
  lines: lines[row.server]!,
}));
if (options.json === true) {
  console.log(
    JSON.stringify({
      core,
      totalBytes,
      runs: Number(options.runs),
      seconds: Number(options.seconds),
      rows,
    }),
  );
} else {
  const head = [
    'audit',
    'reads/s',
    'GB/s',
    'CPU-s/GB',
    'P99 us',
    'throughput / off',
    'CPU / off',
    'lines written',
    'dropped',
  ];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    table.push([
      row.server,
      row.requestsPerSecond.toFixed(0),
      row.gigabytesPerSecond.toFixed(2),
      row.cpuSecondsPerGB.toFixed(3),
      row.p99Us,
      row.throughputOfOff.toFixed(3),
      row.cpuOfOff.toFixed(3),
      row.lines.written,
      row.lines.dropped,
    ]);
  }
  console.log(table.toString());
}
