import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import { BenchOrigin } from './origin.ts';
import { Pattern } from './pread/pattern.ts';
import { parseTarget } from './pread/target.ts';
import { pull } from './pipeline/pull.ts';
import { processSeconds, residentBytes, threadSeconds } from './processor-time.ts';
import { median } from './vs/comparison.ts';
import { freePort, type Rival } from './vs/rivals.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * What a cold byte costs on its way through a node, by thread: `node native-bench/pipeline.ts`.
 *
 *   direct: origin -> client       origin: origin -> node -> client       peer: origin -> root -> node -> client
 *
 * The node's processor time is split by the names of its threads: transfer receives and checks, front sends, control
 * decides, digest hashes whole blobs (none here: the object has no digest in its name), libuv-worker writes to disk;
 * the rest is the runtime's own: collector and compiler.
 */
const SEED = 7;
const THREADS = ['transfer', 'front', 'control', 'digest', 'libuv-worker', 'runtime'] as const;

type Way = 'direct' | 'origin' | 'peer';

interface Run {
  seconds: number;
  firstByteSeconds: number;
  /** Of the node next to the client, per thread name and in all; empty for the direct way. */
  threads: Map<string, number>;
  cpuSeconds: number;
}

const options = new Command('pipeline')
  .description('what a cold byte costs on its way through a node')
  .option('--megabytes <n>', 'size of an object, MiB', '512')
  .option('--runs <n>', 'runs of each way, in turn; medians count', '3')
  .option('--direct', 'the cache with aioEnable 1 (O_DIRECT)')
  .option('--profile <dir>', 'leave profiles of every thread of every node there')
  .option('--json', 'one JSON object instead of the table')
  .parse()
  .opts<{ megabytes: string; runs: string; direct?: boolean; profile?: string; json?: boolean }>();

const totalBytes = Number(options.megabytes) * 2 ** 20;
const gigabytes = totalBytes / 1e9;
const dir = await mkdtemp(join(tmpdir(), 'shoal-pipeline-'));
const origin = new BenchOrigin(SEED, totalBytes);
const pattern = new Pattern(SEED);
const runs: Record<Way, Run[]> = { direct: [], origin: [], peer: [] };
const nodes: Rival[] = [];
const resident: Record<string, number> = {};
try {
  const originUrl = await origin.listen();
  const common = { dir, core: null, originUrl, objectBytes: totalBytes, memory: 'window', direct: options.direct ?? false, runtime: options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile] } as const;
  const [rootPort, agentPort] = [await freePort(), await freePort()];
  const swarm = { peers: [`127.0.0.1:${agentPort}`], roots: [`127.0.0.1:${rootPort}`] };
  nodes.push(await startShoal({ ...common, name: 'alone' }));
  nodes.push(await startShoal({ ...common, ...swarm, name: 'root', role: 'root', p2pPort: rootPort }));
  nodes.push(await startShoal({ ...common, ...swarm, name: 'agent', p2pPort: agentPort }));
  const [alone, , agent] = nodes as [Rival, Rival, Rival];
  // A first pull of each way, not counted, so that code is compiled and connections are open.
  for (let run = 0; run <= Number(options.runs); run++) {
    for (const [way, node] of [['direct', null], ['origin', alone], ['peer', agent]] as const) {
      const measured = await measure(node, node === null ? `${originUrl}/object` : node.url, run);
      if (run > 0) runs[way].push(measured);
    }
  }
  for (const { name, process: server } of nodes) resident[name] = Math.round((residentBytes(server.pid)?.maxBytes ?? 0) / 1e6);
} finally {
  await Promise.all(nodes.map((node) => node.process.stop()));
  origin.close();
  await rm(dir, { recursive: true, force: true });
}

/** One pull of an object nobody has seen yet: every path at the origin is one. */
async function measure(node: Rival | null, url: string, run: number): Promise<Run> {
  const pid = node?.process.pid ?? null;
  const before = pid === null ? new Map<string, number>() : threadSeconds(pid);
  const cpuBefore = pid === null ? 0 : (processSeconds(pid) ?? 0);
  const { seconds, firstByteSeconds } = await pull(parseTarget(`${url}-${run}`, false), totalBytes, (bytes, offsetBytes) => pattern.holds(bytes, offsetBytes));
  const cpuSeconds = pid === null ? 0 : (processSeconds(pid) ?? 0) - cpuBefore;
  const threads = new Map<string, number>();
  if (pid !== null) {
    for (const [thread, after] of threadSeconds(pid)) {
      const name = THREADS.find((known) => known === thread) ?? 'runtime';
      threads.set(name, (threads.get(name) ?? 0) + after - (before.get(thread) ?? 0));
    }
  }
  return { seconds, firstByteSeconds, threads, cpuSeconds };
}

const ways = (['direct', 'origin', 'peer'] as const).map((way) => {
  const of = (field: (run: Run) => number): number => median(runs[way].map(field));
  return {
    way,
    gigabytesPerSecond: of((run) => gigabytes / run.seconds),
    firstByteMs: of((run) => run.firstByteSeconds * 1000),
    /** Time against the direct pull of the same turn. */
    timesDirect: median(runs[way].map((run, turn) => run.seconds / runs.direct[turn]!.seconds)),
    cpuSecondsPerGB: way === 'direct' ? null : of((run) => run.cpuSeconds / gigabytes),
    threads: way === 'direct' ? null : Object.fromEntries(THREADS.map((name) => [name, of((run) => (run.threads.get(name) ?? 0) / gigabytes)])),
  };
});
if (options.json === true) {
  console.log(JSON.stringify({ totalBytes, runs: Number(options.runs), direct: options.direct ?? false, ways, residentMaxMB: resident }));
} else {
  const head = ['way', 'GB/s', 'time / direct', 'first byte ms', 'CPU-s/GB', ...THREADS];
  const table = new Table({ head, colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')), style: { head: [], border: [], compact: true } });
  for (const { way, gigabytesPerSecond, timesDirect, firstByteMs, cpuSecondsPerGB, threads } of ways) {
    table.push([way, gigabytesPerSecond.toFixed(2), timesDirect.toFixed(2), firstByteMs.toFixed(1), cpuSecondsPerGB?.toFixed(2) ?? '', ...THREADS.map((name) => threads?.[name]?.toFixed(3) ?? '')]);
  }
  console.log(table.toString());
  console.log(`resident at most, MB: ${Object.entries(resident).map(([name, megabytes]) => `${name} ${megabytes}`).join(', ')}`);
}
