import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Command } from 'commander';
import { CpuLimit } from './held/cpu-limit.ts';
import { makeLayer, type Layer } from './pipeline/layers.ts';
import { pull } from './pipeline/pull.ts';
import { REPOSITORY, startEmbeddedRegistry } from './pipeline/registries.ts';
import { Pattern } from './pread/pattern.ts';
import { parseTarget } from './pread/target.ts';
import { processSeconds } from './processor-time.ts';
import { percentile } from './sim/report.ts';
import { median } from './vs/comparison.ts';
import { freePort } from './vs/rivals.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * Measures an agent held to one CPU, as the chart limits it: the rate of a cold pull from a root on
 * loopback, and how late health answers and reads of another blob are meanwhile.
 */
const SMALL_BYTES = 64 * 1024;
const PROBE_EVERY_MS = 50;
const PROBE_DEADLINE_MS = 30_000;
const LOOKED_AT_BYTES = 4096;

const options = new Command('held')
  .description('an agent held to one CPU: rate of a cold pull, and delay of other answers')
  .option('--megabytes <n>', 'size of the layer, MiB', '1024')
  .option('--memory <n>', "the agent's arena, MiB", '128')
  .option('--runs <n>', 'runs, each with new nodes; medians count', '3')
  .option('--no-direct', 'the cache through the page cache instead of O_DIRECT')
  .option('--free', 'without the limit, to compare')
  .option('--json', 'one JSON object instead of the lines')
  .parse()
  .opts<{
    megabytes: string;
    memory: string;
    runs: string;
    direct: boolean;
    free?: boolean;
    json?: boolean;
  }>();

interface Run {
  limit: string;
  gigabytesPerSecond: number;
  cpuSecondsPerGB: number;
  throttledPeriods: number | null;
  healthMs: number[];
  readMs: number[];
}

const layer = makeLayer(1, Number(options.megabytes) * 2 ** 20);
const small = makeLayer(2, SMALL_BYTES);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.setMaxListeners(100); // Each process under test has one on our exit.
const dir = await mkdtemp(join(tmpdir(), 'shoal-held-'));
process.once('exit', () => limit?.remove());
let limit: CpuLimit | null = null;
const registry = await startEmbeddedRegistry([layer, small]);
const runs: Run[] = [];
try {
  for (let run = 0; run < Number(options.runs); run++) runs.push(await measure(run));
} finally {
  await registry.process.stop();
  await rm(dir, { recursive: true, force: true });
}
const report = {
  limit: runs[0]!.limit,
  gigabytesPerSecond: median(runs.map((run) => run.gigabytesPerSecond)),
  cpuSecondsPerGB: median(runs.map((run) => run.cpuSecondsPerGB)),
  throttledPeriods: runs.map((run) => run.throttledPeriods),
  health: delays(runs.flatMap((run) => run.healthMs)),
  read: delays(runs.flatMap((run) => run.readMs)),
};
if (options.json === true) console.log(JSON.stringify(report));
else {
  const line = ({ count, p50Ms, p99Ms, maxMs }: typeof report.health): string =>
    `P50 ${p50Ms.toFixed(1)}, P99 ${p99Ms.toFixed(1)}, at most ${maxMs.toFixed(1)} ms (${count})`;
  console.log(
    [
      `limit    ${report.limit}; periods throttled: ${report.throttledPeriods.join(', ')}`,
      `pull     ${report.gigabytesPerSecond.toFixed(2)} GB/s, ` +
        `${report.cpuSecondsPerGB.toFixed(2)} CPU-s/GB (medians of ${runs.length})`,
      `health   ${line(report.health)}`,
      `read     ${line(report.read)}`,
    ].join('\n'),
  );
}
process.exit();

async function measure(run: number): Promise<Run> {
  const [rootPort, agentPort] = [await freePort(), await freePort()];
  const common = {
    dir: join(dir, String(run)),
    core: null,
    originUrl: registry.url,
    objectBytes: layer.lengthBytes + small.lengthBytes,
    direct: options.direct,
    peers: [`127.0.0.1:${agentPort}`],
    roots: [`127.0.0.1:${rootPort}`],
  };
  const root = await startShoal({ ...common, name: 'root', role: 'root', p2pPort: rootPort });
  const agent = await startShoal({
    ...common,
    name: 'agent',
    p2pPort: agentPort,
    memoryBytes: Number(options.memory) * 2 ** 20,
  });
  const { pid } = agent.process;
  try {
    await read(root.url, layer);
    await read(agent.url, small);
    if (options.free !== true) limit = new CpuLimit(pid);
    const before = { seconds: processSeconds(pid)!, throttled: limit?.throttledPeriods ?? 0 };
    const ended = new AbortController();
    const healthMs = probe(ended.signal, () => healthy(agent.exporter));
    const readMs = probe(ended.signal, () => read(agent.url, small));
    const { seconds } = await read(agent.url, layer);
    const cpuSeconds = processSeconds(pid)! - before.seconds;
    ended.abort();
    const throttled = limit?.throttledPeriods ?? null;
    return {
      limit: limit?.kind ?? 'none',
      gigabytesPerSecond: layer.lengthBytes / 1e9 / seconds,
      cpuSecondsPerGB: cpuSeconds / (layer.lengthBytes / 1e9),
      throttledPeriods: throttled === null ? null : throttled - before.throttled,
      healthMs: await healthMs,
      readMs: await readMs,
    };
  } finally {
    await Promise.all([root, agent].map((node) => node.process.stop()));
    limit?.remove();
    limit = null;
    await rm(common.dir, { recursive: true, force: true });
  }
}

function read(nodeUrl: string, { seed, digest, lengthBytes }: Layer) {
  const target = {
    ...parseTarget(`${new URL(nodeUrl).origin}/v2/${REPOSITORY}/blobs/${digest}`, false),
    ...(registry.authorization === undefined ? {} : { authorization: registry.authorization }),
  };
  const pattern = new Pattern(seed);
  return pull(target, lengthBytes, (bytes, offsetBytes) =>
    pattern.holds(bytes.subarray(0, LOOKED_AT_BYTES), offsetBytes),
  );
}

async function healthy(exporter: string): Promise<void> {
  const { status } = await fetch(`${exporter}/healthz`, {
    signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
  });
  if (status !== 200) throw new Error(`/healthz answered ${status}`);
}

/** How long each call of `ask` took, one every PROBE_EVERY_MS, until `signal`. */
async function probe(signal: AbortSignal, ask: () => Promise<unknown>): Promise<number[]> {
  const tookMs: number[] = [];
  while (!signal.aborted) {
    const startMs = performance.now();
    await ask();
    tookMs.push(performance.now() - startMs);
    await after(PROBE_EVERY_MS);
  }
  return tookMs;
}

function delays(tookMs: readonly number[]) {
  const sorted = tookMs.toSorted((a, b) => a - b);
  return {
    count: sorted.length,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    maxMs: percentile(sorted, 1),
  };
}
