import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import Table from 'cli-table3';
import { Command, Option } from 'commander';
import { Arena } from '../lib/io/arena.ts';
import { checksumOf } from '../lib/io/checksum.ts';
import { SHARD_BYTES } from '../lib/limits.ts';
import { fillMemory } from './memory.ts';
import { makeLayer } from './pipeline/layers.ts';
import { Line } from './pipeline/line.ts';
import { pull } from './pipeline/pull.ts';
import {
  REPOSITORY,
  startDockerRegistry,
  startEmbeddedRegistry,
  TAG,
} from './pipeline/registries.ts';
import { pullWithSkopeo } from './pipeline/skopeo.ts';
import { Pattern } from './pread/pattern.ts';
import { parseTarget } from './pread/target.ts';
import { processSeconds, residentBytes, threadSeconds } from './processor-time.ts';
import { median } from './vs/comparison.ts';
import { pinSelf } from './vs/pinned-process.ts';
import { freePort, type Rival } from './vs/rivals.ts';
import { startShoal } from './vs/shoal-node.ts';

/*
 * Measures the time and CPU of a cold pull against a direct pull from the same registry: `node
 * native-bench/pipeline.ts`.
 *
 *   direct: registry -> client
 *   alone:  registry -> node -> client
 *   swarm:  registry -> root -> node -> client
 *
 * Every turn has new nodes with empty caches, warmed up by a layer so that code is compiled,
 * threads are started and connections are open. The CPU time of the node next to the client is
 * split by stage, by thread name. Transfer threads receive, pass shards to the disk and compute
 * checksums; the checksums' share is measured by hashing the same bytes in this program at the
 * same time. Digest hashes whole blobs, libuv-worker writes, front sends, control decides. The
 * rest is V8: garbage collection, compiler.
 */
const STAGES = ['receive', 'checksum', 'digest', 'write', 'send', 'decide', 'runtime'] as const;
const STAGE_OF_THREAD: Record<string, (typeof STAGES)[number]> = {
  transfer: 'receive',
  digest: 'digest',
  'libuv-worker': 'write',
  front: 'send',
  control: 'decide',
};
/** Slots hashed to measure the current cost of a checksum; more than the CPU caches hold. */
const CHECKSUM_SLOTS = 48;
/** The second transfer thread starts when the first has been busy for a while. */
const WARM_BYTES = 384 * 2 ** 20;
/** Of two nodes, besides their arenas, about. */
const NODES_MEMORY_BYTES = 500e6;
/** A node is idle when it uses less than a tick of processor time (10 ms) for so long. */
const QUIET_MS = 200;
const QUIET_DEADLINE_MS = 20_000;
/** The client is a cheap reader: it checks only the first bytes of every read. */
const LOOKED_AT_BYTES = 4096;

interface Run {
  seconds: number;
  /** null: unknown, for skopeo. */
  firstByteSeconds: number | null;
  /** CPU time of the node next to the client, per stage and in total; empty for a direct pull. */
  stages: Map<string, number>;
  cpuSeconds: number;
  registryCpuSeconds: number;
  residentBytes: number;
}

const options = new Command('pipeline')
  .description('what a cold pull takes and costs, held against the direct one')
  .addOption(
    new Option('--registry <kind>', 'which one').choices(['docker', 'embedded']).default('docker'),
  )
  .addOption(
    new Option(
      '--client <kind>',
      'reader: takes the bytes and leaves them; skopeo: checks digests and writes, as ' +
        'container runtimes do',
    )
      .choices(['reader', 'skopeo'])
      .default('reader'),
  )
  .option(
    '--own-core',
    'nodes run on core 1, registry and client on core 0: what the way through a node ' +
      'costs where the machine has a core to spare',
  )
  .option(
    '--line <megabits>',
    'put the docker registry behind a line of so many Mbit/s (a network namespace; needs root)',
  )
  .option('--megabytes <n>', 'size of all layers together, MiB', '1024')
  .option('--layers <n>', 'layers pulled at once', '1')
  .option('--memory <list>', 'arenas of nodes, MiB', '256')
  .option('--ways <list>', 'of direct, alone, swarm', 'direct,alone,swarm')
  .option('--runs <n>', 'runs of each way, in turn; medians count', '5')
  .option('--direct', 'the cache with aioEnable 1 (O_DIRECT)')
  .option('--profile <dir>', 'leave profiles of every thread of every node there')
  .option('--json', 'one JSON object instead of the table')
  .parse()
  .opts<{
    registry: 'docker' | 'embedded';
    client: 'reader' | 'skopeo';
    ownCore?: boolean;
    line?: string;
    megabytes: string;
    layers: string;
    memory: string;
    ways: string;
    runs: string;
    direct?: boolean;
    profile?: string;
    json?: boolean;
  }>();

if (options.client === 'skopeo' && options.registry !== 'docker')
  throw new Error('--client skopeo: only with --registry docker, which has a whole image');
const totalBytes = Number(options.megabytes) * 2 ** 20;
const gigabytes = totalBytes / 1e9;
const warmLayer = makeLayer(1, WARM_BYTES);
const layers = Array.from({ length: Number(options.layers) }, (_, index) =>
  makeLayer(2 + index, totalBytes / Number(options.layers)),
);
const patterns = new Map([warmLayer, ...layers].map((layer) => [layer, new Pattern(layer.seed)]));
const asked = options.ways.split(',');
const setups = [
  ...(asked.includes('direct') ? [{ way: 'direct', memory: 0 }] : []),
  ...options.memory
    .split(',')
    .flatMap((memory) =>
      ['alone', 'swarm']
        .filter((way) => asked.includes(way))
        .map((way) => ({ way, memory: Number(memory) })),
    ),
];
const sample = Arena.create(CHECKSUM_SLOTS * SHARD_BYTES);
for (let slot = 0; slot < CHECKSUM_SLOTS; slot++) sample.bytes(slot).fill(slot);
const runs = setups.map((): Run[] => []);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.setMaxListeners(100); // Each process under test has one on our exit.
// Processes started from here on run on the core of this process, except nodes.
const nodeCore = options.ownCore === true ? 1 : null;
if (nodeCore !== null) pinSelf(0);
const dir = await mkdtemp(join(tmpdir(), 'shoal-pipeline-'));
// Layers are written to memory if possible: the disk behind a pull is the same for every path, and
// waiting for it would hide the path's cost.
const pulledDir = join(existsSync('/dev/shm') ? '/dev/shm' : dir, `shoal-pulled-${process.pid}`);
process.once('exit', () => rmSync(pulledDir, { recursive: true, force: true }));
const line = options.line === undefined ? null : new Line(Number(options.line));
const registry =
  options.registry === 'docker'
    ? await startDockerRegistry(dir, warmLayer, layers, line)
    : await startEmbeddedRegistry([warmLayer, ...layers]);
try {
  for (let run = 0; run < Number(options.runs); run++) {
    for (const [index, setup] of setups.entries()) runs[index]!.push(await measure(setup, run));
  }
} finally {
  await registry.process.stop();
  line?.remove();
  await rm(dir, { recursive: true, force: true });
}

async function startNodes(setup: (typeof setups)[number], run: number): Promise<Rival[]> {
  if (setup.way === 'direct') return [];
  const common = {
    dir: join(dir, String(run)),
    core: nodeCore,
    originUrl: registry.url,
    objectBytes: totalBytes + WARM_BYTES,
    memoryBytes: setup.memory * 2 ** 20,
    direct: options.direct ?? false,
    runtime: options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile],
  };
  if (setup.way === 'alone') return [await startShoal({ ...common, name: 'alone' })];
  const [rootPort, agentPort] = [await freePort(), await freePort()];
  const swarm = { peers: [`127.0.0.1:${agentPort}`], roots: [`127.0.0.1:${rootPort}`] };
  return [
    await startShoal({ ...common, ...swarm, name: 'agent', p2pPort: agentPort }),
    await startShoal({ ...common, ...swarm, name: 'root', role: 'root', p2pPort: rootPort }),
  ];
}

/** One pull of all layers at once, by a client next to new nodes or without nodes. */
async function measure(setup: (typeof setups)[number], run: number): Promise<Run> {
  await fillMemory(NODES_MEMORY_BYTES + 2 * setup.memory * 2 ** 20);
  const nodes = await startNodes(setup, run);
  try {
    const node = nodes[0];
    const prefix = node === undefined ? registry.url : new URL(node.url).origin;
    const read = (layer: typeof warmLayer): ReturnType<typeof pull> => {
      const target = {
        ...parseTarget(`${prefix}/v2/${REPOSITORY}/blobs/${layer.digest}`, false),
        ...(registry.authorization === undefined ? {} : { authorization: registry.authorization }),
      };
      const pattern = patterns.get(layer)!;
      return pull(target, layer.lengthBytes, (bytes, offsetBytes) =>
        pattern.holds(bytes.subarray(0, LOOKED_AT_BYTES), offsetBytes),
      );
    };
    await read(warmLayer);
    const pid = node?.process.pid ?? null;
    if (pid !== null) await quiet(pid);
    const before = pid === null ? new Map<string, number>() : threadSeconds(pid);
    const registryBefore = processSeconds(registry.process.pid) ?? 0;
    const cpuBefore = pid === null ? 0 : (processSeconds(pid) ?? 0);
    const startMs = performance.now();
    const pulled =
      options.client === 'skopeo'
        ? await pullWithSkopeo(`${new URL(prefix).host}/${REPOSITORY}:${TAG}`, pulledDir)
        : await Promise.all(layers.map(read));
    const seconds = (performance.now() - startMs) / 1000;
    const cpuSeconds = pid === null ? 0 : (processSeconds(pid) ?? 0) - cpuBefore;
    const registryCpuSeconds = (processSeconds(registry.process.pid) ?? 0) - registryBefore;
    const stages = new Map<string, number>();
    if (pid !== null) {
      for (const [thread, after] of threadSeconds(pid)) {
        const stage = STAGE_OF_THREAD[thread] ?? 'runtime';
        stages.set(stage, (stages.get(stage) ?? 0) + after - (before.get(thread) ?? 0));
      }
      const checksum = gigabytes * checksumSecondsPerGB();
      stages.set('checksum', checksum);
      stages.set('receive', (stages.get('receive') ?? 0) - checksum);
    }
    return {
      seconds,
      firstByteSeconds: pulled === undefined ? null : pulled[0]!.firstByteSeconds,
      stages,
      cpuSeconds,
      registryCpuSeconds,
      residentBytes: pid === null ? 0 : (residentBytes(pid)?.maxBytes ?? 0),
    };
  } finally {
    await Promise.all(nodes.map((node) => node.process.stop()));
    await Promise.all(
      [join(dir, String(run)), pulledDir].map((path) => rm(path, { recursive: true, force: true })),
    );
  }
}

/**
 * Resolves once `pid` is idle: all threads have started, and the digest of the warm-up is verified.
 * Their cost does not belong to the measured bytes. Throws after QUIET_DEADLINE_MS.
 */
async function quiet(pid: number): Promise<void> {
  const untilMs = performance.now() + QUIET_DEADLINE_MS;
  for (let before = -1; performance.now() < untilMs;) {
    const now = processSeconds(pid) ?? 0;
    if (now === before) return;
    before = now;
    await after(QUIET_MS);
  }
  throw new Error(`the node was not idle ${QUIET_DEADLINE_MS} ms after the warm-up`);
}

/** CPU seconds per GB of shard checksums, on this machine at its current load. */
function checksumSecondsPerGB(): number {
  const before = process.cpuUsage();
  for (let slot = 0; slot < CHECKSUM_SLOTS; slot++) checksumOf(sample.bytes(slot));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6 / ((CHECKSUM_SLOTS * SHARD_BYTES) / 1e9);
}

const rows = setups.map(({ way, memory }, index) => {
  const of = (field: (run: Run) => number): number => median(runs[index]!.map(field));
  return {
    way,
    memoryMiB: way === 'direct' ? null : memory,
    gigabytesPerSecond: of((run) => gigabytes / run.seconds),
    firstByteMs:
      options.client === 'skopeo' ? null : of((run) => (run.firstByteSeconds ?? Number.NaN) * 1000),
    /** Time against the direct pull of the same turn. */
    timesDirect: median(
      runs[index]!.map((run, turn) => run.seconds / (runs[0]![turn]?.seconds ?? Number.NaN)),
    ),
    cpuSecondsPerGB: way === 'direct' ? null : of((run) => run.cpuSeconds / gigabytes),
    registryCpuSecondsPerGB: of((run) => run.registryCpuSeconds / gigabytes),
    stages:
      way === 'direct'
        ? null
        : Object.fromEntries(
            STAGES.map((name) => [name, of((run) => (run.stages.get(name) ?? 0) / gigabytes)]),
          ),
    residentMaxMB:
      way === 'direct'
        ? null
        : Math.round(Math.max(...runs[index]!.map((run) => run.residentBytes)) / 1e6),
  };
});
if (options.json === true) {
  console.log(
    JSON.stringify({
      registry: options.registry,
      client: options.client,
      ownCore: options.ownCore ?? false,
      lineMegabits: line === null ? null : Number(options.line),
      totalBytes,
      layers: layers.length,
      runs: Number(options.runs),
      direct: options.direct ?? false,
      rows,
    }),
  );
} else {
  const head = [
    'way',
    'arena MiB',
    'GB/s',
    'time / direct',
    'first byte ms',
    'CPU-s/GB',
    ...STAGES,
    'resident MB',
    'registry CPU-s/GB',
  ];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const {
    way,
    memoryMiB,
    gigabytesPerSecond,
    timesDirect,
    firstByteMs,
    cpuSecondsPerGB,
    stages,
    residentMaxMB,
    registryCpuSecondsPerGB,
  } of rows) {
    table.push([
      way,
      memoryMiB ?? '',
      gigabytesPerSecond.toFixed(2),
      timesDirect.toFixed(2),
      firstByteMs?.toFixed(1) ?? '',
      cpuSecondsPerGB?.toFixed(2) ?? '',
      ...STAGES.map((name) => stages?.[name]?.toFixed(3) ?? ''),
      residentMaxMB ?? '',
      registryCpuSecondsPerGB.toFixed(2),
    ]);
  }
  console.log(table.toString());
}
