import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { planNodes, PORTS_PER_NODE } from '../../lib/demo/node-config.ts';
import { NodeProcess } from '../../lib/demo/node-process.ts';
import { parsePeerWork } from '../../lib/demo/node-counters.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { fillMemory } from '../memory.ts';
import { cliPath } from '../../test/built-program.ts';
import { percentile } from '../sim/report.ts';
import { LabChild } from './child.ts';
import { pullWithCurl, type ClientPull } from './client.ts';
import { summarizePeerWork } from './costs.ts';
import { linesTested, readMetrics } from './exporters.ts';
import { Meter, type RoleCost } from './meter.ts';
import { LabNetwork } from './network.ts';
import type { LabOptions } from './options.ts';
import type { LabOrigin, OriginTraffic } from './registry-process.ts';
import type { LabReport } from './run.ts';

const DIR = fileURLToPath(new URL('.', import.meta.url));
const [P2P_PORT, PROXY_PORT, EXPORTER_PORT, RELAY_PORT] = [65002, 65001, 65003, 65010];

/** Cost of the processes of one kind, per GB that reached the clients of the agents. */
export interface KindCost {
  cpuSecondsPerGB: number;
  cpuSecondsPerGBByThread: Record<string, number>;
  wakeupsPerMB: number;
  contextSwitchesPerMB: number;
  readsPerMB: number;
  rssMaxMB: number;
  receivedBytes: number;
  sentBytes: number;
  sentBytesMax: number;
}

export interface Times {
  p50Seconds: number;
  p95Seconds: number;
  p99Seconds: number;
  maxSeconds: number;
  ttfbMaxSeconds: number;
  failedPulls: number;
}

/** What shaped links add to the report. */
export interface ShapedReport {
  linkMbit: number;
  originLinkMbit: number;
  cpuSecondsPerGBAgents: number;
  cpuSecondsRoots: number;
  cpuSecondsPerGBMachine: number;
  wakeupsPerMB: number;
  agents: KindCost;
  roots: KindCost;
  /** The relay in the same network, before Shoal; and Shoal's cost over the relay's. */
  relay: (Times & { agents: KindCost; cpuSecondsPerGBMachine: number }) | null;
  cpuOverRelay: number | null;
  /** Agents with a quarter of the line, whose times are not among the others, and the slowest. */
  slowAgents: number;
  slowSeconds: number;
}

/** Everything a run starts, for the caller to end. */
export class Started {
  readonly #ends: (() => void)[] = [];

  add(end: () => void): void {
    this.#ends.push(end);
  }

  /** Ends everything in reverse order. Synchronous: it also runs at exit. */
  end(): void {
    for (const end of this.#ends.splice(0).toReversed()) end();
  }
}

/** The machines of a run, before a pull: the registry on the first, then the root, then agents. */
interface Site {
  network: LabNetwork;
  origin: LabOrigin;
  agents: number;
  /** So many agents, the first, have slower lines: `times` are those of the others. */
  slowAgents: number;
  imageBytes: number;
  /** What the clients of all agents receive together. */
  deliveredBytes: number;
  started: Started;
  /** Starts a program on a machine. */
  run(machine: number, ...command: string[]): LabChild;
}

const FIRST_AGENT = 2;

/** How much slower the lines of slow agents are. */
const SLOW_FACTOR = 4;

/** Memory of a node besides the image, about. */
const PROCESS_BYTES = 200e6;

/** Processes whose cost is measured together: one on each machine from `firstMachine` on. */
interface Role {
  name: string;
  pids: number[];
  firstMachine: number;
}

interface Pulled {
  times: Times;
  /** The slowest pull of a slow agent; 0 without one. */
  slowSeconds: number;
  /** CPU seconds of the whole machine for each GB delivered. */
  machine: number;
  roles: Map<string, RoleCost>;
  problems: string[];
}

type ShapedOptions = LabOptions & { linkMbit: number; originLinkMbit: number };

/**
 * Runs a pull of all agents at once over shaped links, each node in a network namespace. `started`
 * gets everything that must be ended afterwards.
 */
export async function runShaped(
  options: ShapedOptions,
  dir: string,
  started: Started,
  say: (line: string) => void,
): Promise<Omit<LabReport, 'idealSeconds'> & ShapedReport & { idealSeconds: number }> {
  const startedMs = performance.now();
  const { linkMbit, originLinkMbit } = options;
  const { site, registry } = await prepareSite(options, started, say);
  const { network, agents, slowAgents, imageBytes, deliveredBytes } = site;
  const memoryBytes = (agents + 1) * (imageBytes + PROCESS_BYTES);
  if (options.relay) await fillMemory(memoryBytes);
  const relay = options.relay ? await pullThroughRelays(site, say) : null;

  await fillMemory(memoryBytes);
  say(`starting 1 root and ${agents} agents`);
  const nodes = await startNodes(options, network, dir, site.origin.url, imageBytes, started);
  const onAgents = network.machines.slice(FIRST_AGENT);
  if (slowAgents > 0 && !(await linesTested(onAgents, EXPORTER_PORT)))
    say('not all agents have tested their lines');
  const before = await registry.ask<OriginTraffic>('traffic');
  const [root, ...others] = nodes.map((node) => node.addresses.pid);
  say('pulling');
  const pulled = await pullAll(site, PROXY_PORT, true, [
    { name: 'roots', pids: [root!], firstMachine: 1 },
    { name: 'agents', pids: others, firstMachine: FIRST_AGENT },
  ]);
  const after = await registry.ask<OriginTraffic>('traffic');
  const work = await readPeerWork(network, nodes.length);
  const [rootCost, agentCost] = [pulled.roles.get('roots')!, pulled.roles.get('agents')!];
  const gigabytes = deliveredBytes / 1e9;
  const shards = site.origin.blobs.reduce(
    (sum, blob) => sum + Math.ceil(blob.sizeBytes / SHARD_BYTES),
    0,
  );
  const agentsPerGB = agentCost.cpuSeconds / gigabytes;
  return {
    mode: 'shoal',
    system: 'shoal',
    seed: options.seed,
    nodes: agents,
    imageBytes,
    idealSeconds: (imageBytes * 8) / 1e6 / Math.min(linkMbit, originLinkMbit),
    ...pulled.times,
    originBytes: after.bytes - before.bytes,
    originPeakGbps: originLinkMbit / 1000,
    originRequests: after.requests - before.requests,
    uploadMaxOverMean: work.uploadMaxOverMean,
    messagesPerShard: work.messages / (shards * agents),
    depthMax: work.depthMax,
    unfinished: pulled.times.failedPulls,
    wallSeconds: (performance.now() - startedMs) / 1000,
    cpuSecondsPerGB: (agentCost.cpuSeconds + rootCost.cpuSeconds) / gigabytes,
    rssMaxMB: Math.max(agentCost.rssMaxBytes, rootCost.rssMaxBytes) / 1e6,
    requestsPerShardMax: after.shardRequestsMax,
    killed: 0,
    problems: [...(relay?.problems ?? []), ...pulled.problems],
    linkMbit,
    originLinkMbit,
    cpuSecondsPerGBAgents: agentsPerGB,
    cpuSecondsRoots: rootCost.cpuSeconds,
    cpuSecondsPerGBMachine: pulled.machine,
    wakeupsPerMB: agentCost.work.wakeUps / (deliveredBytes / 1e6),
    agents: kindCost(agentCost, deliveredBytes),
    roots: kindCost(rootCost, deliveredBytes),
    relay: relay?.figures ?? null,
    slowAgents,
    slowSeconds: pulled.slowSeconds,
    cpuOverRelay: relay === null ? null : agentsPerGB / relay.figures.agents.cpuSecondsPerGB,
  };
}

/** Sets up the network, and the registry with its image. */
async function prepareSite(
  options: ShapedOptions,
  started: Started,
  say: (line: string) => void,
): Promise<{ site: Site; registry: LabChild }> {
  const { linkMbit, originLinkMbit, nodes: agents } = options;
  const slowAgents = Math.round(options.slow * agents);
  const machines = [originLinkMbit, ...Array<number>(agents + 1).fill(linkMbit)];
  machines.fill(linkMbit / SLOW_FACTOR, FIRST_AGENT, FIRST_AGENT + slowAgents);
  const network = new LabNetwork(machines, options.packets);
  started.add(() => network.remove());
  const run = (machine: number, ...command: string[]): LabChild => {
    const child = new LabChild([...network.machines[machine]!.command, ...command]);
    started.add(() => child.kill());
    return child;
  };
  const layers = Array<number>(options.layers).fill(Math.ceil(options.imageBytes / options.layers));
  const small = Array.from({ length: options.small }, (_, index) => 1_000 + ((index * 37) % 7_000));
  say(`preparing ${layers.length} layer(s), ${options.imageBytes} bytes`);
  const registry = run(
    0,
    process.execPath,
    join(DIR, 'registry-process.ts'),
    network.machines[0]!.address,
    String(options.seed),
    JSON.stringify([...layers, ...small]),
  );
  const origin = await registry.next<LabOrigin>();
  const imageBytes = origin.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const deliveredBytes = imageBytes * agents;
  return {
    site: { network, origin, agents, slowAgents, imageBytes, deliveredBytes, started, run },
    registry,
  };
}

/** Pulls by all agents' clients at once, measured. */
async function pullAll(
  { network, origin, agents, slowAgents, deliveredBytes, started }: Site,
  port: number,
  isShoal: boolean,
  roles: readonly Role[],
): Promise<Pulled> {
  const meter = new Meter(
    network,
    roles.map(({ name, pids, firstMachine }) => ({
      name,
      processes: pids.map((pid, index) => ({ pid, machine: firstMachine + index })),
    })),
  );
  const pulls = await Promise.all(
    Array.from({ length: agents }, (_, index) =>
      pullWithCurl(
        network.machines[FIRST_AGENT + index]!.command,
        {
          url: `http://127.0.0.1:${port}`,
          manifestPath: isShoal ? `/v2/${origin.repository}/manifests/${origin.tag}` : null,
          repository: origin.repository,
          digests: origin.blobs.map(({ digest }) => digest),
          authorization: origin.authorization,
          query: isShoal ? `?ns=${new URL(origin.url).host}` : '',
        },
        (kill) => started.add(kill),
      ),
    ),
  );
  const end = meter.end();
  return {
    times: timesOf(pulls.slice(slowAgents), pulls),
    slowSeconds: Math.max(0, ...pulls.slice(0, slowAgents).map(({ seconds }) => seconds)),
    machine: end.machineCpuSeconds / (deliveredBytes / 1e9),
    roles: end.roles,
    problems: pulls.flatMap(({ problems }, index) =>
      problems.map((problem) => `agent-${index + 1}: ${problem}`),
    ),
  };
}

/** Pulls through a chain of relays, one on each machine of a node: what the machine allows. */
async function pullThroughRelays(
  site: Site,
  say: (line: string) => void,
): Promise<{ figures: NonNullable<ShapedReport['relay']>; problems: string[] }> {
  const { network, origin, agents } = site;
  say(`pulling through a chain of ${agents + 1} relays`);
  const blobs = origin.blobs.map(({ digest, sizeBytes }) => ({
    path: `/v2/${origin.repository}/blobs/${digest}`,
    sizeBytes,
  }));
  const chain: LabChild[] = [];
  for (let machine = 1; machine < network.machines.length; machine++) {
    const source = {
      host: network.machines[machine - 1]!.address,
      port: machine === 1 ? Number(new URL(origin.url).port) : RELAY_PORT,
      authorization: origin.authorization,
    };
    const args = [String(RELAY_PORT), JSON.stringify(source), JSON.stringify(blobs)];
    const relay = site.run(machine, process.execPath, join(DIR, 'relay-process.ts'), ...args);
    await relay.next();
    chain.push(relay);
  }
  const pids = chain.slice(1).map(({ pid }) => pid);
  const pulled = await pullAll(site, RELAY_PORT, false, [
    { name: 'relays', pids, firstMachine: FIRST_AGENT },
  ]);
  for (const relay of chain) relay.kill();
  return {
    figures: {
      ...pulled.times,
      agents: kindCost(pulled.roles.get('relays')!, site.deliveredBytes),
      cpuSecondsPerGBMachine: pulled.machine,
    },
    problems: pulled.problems.map((problem) => `relay ${problem}`),
  };
}

/** What the nodes' counters say of their work for each other. */
async function readPeerWork(
  network: LabNetwork,
  nodes: number,
): Promise<ReturnType<typeof summarizePeerWork>> {
  const texts = await readMetrics(network.machines.slice(1, 1 + nodes), EXPORTER_PORT);
  return summarizePeerWork(texts.map(parsePeerWork));
}

/** Starts the root and then the agents, each in its namespace, and waits until all are ready. */
async function startNodes(
  options: LabOptions,
  network: LabNetwork,
  dir: string,
  upstream: string,
  imageBytes: number,
  started: Started,
): Promise<NodeProcess[]> {
  const secret = join(dir, 'cluster-secret');
  writeFileSync(secret, randomBytes(32).toString('hex'), { mode: 0o600 });
  const machines = network.machines.slice(1);
  const ports = machines.flatMap(() => [P2P_PORT, PROXY_PORT, EXPORTER_PORT]);
  const planned = planNodes(
    { dir, agents: options.nodes, upstream, allow: [], imageBytes },
    ports.slice(0, machines.length * PORTS_PER_NODE),
    machines.map(({ address }) => address),
  );
  const nodes: NodeProcess[] = [];
  for (const [index, { name, role, dir: nodeDir, config }] of planned.entries()) {
    mkdirSync(nodeDir, { recursive: true, mode: 0o700 });
    const cache = { ...config.CacheConfig, aioEnable: options.direct ? 1 : 0 };
    const deploy = { ...config.DeployConfig, ...(options.keep ? { logLevel: 'debug' } : {}) };
    const written = { ...config, CacheConfig: cache, DeployConfig: deploy };
    writeFileSync(join(nodeDir, 'config.yaml'), stringify(written));
    const command = [...machines[index]!.command, process.execPath, options.shoal ?? cliPath];
    const node = new NodeProcess({ name, role, dir: nodeDir, command });
    started.add(() => node.kill());
    nodes.push(node);
    await node.started(AbortSignal.timeout(120_000));
  }
  return nodes;
}

function timesOf(pulls: readonly ClientPull[], all: readonly ClientPull[]): Times {
  const seconds = pulls.map((pull) => pull.seconds).toSorted((a, b) => a - b);
  return {
    p50Seconds: percentile(seconds, 0.5),
    p95Seconds: percentile(seconds, 0.95),
    p99Seconds: percentile(seconds, 0.99),
    maxSeconds: percentile(seconds, 1),
    ttfbMaxSeconds: Math.max(...pulls.map((pull) => pull.ttfbMaxSeconds)),
    failedPulls: all.filter(({ problems }) => problems.length > 0).length,
  };
}

function kindCost(cost: RoleCost, deliveredBytes: number): KindCost {
  const [gigabytes, megabytes] = [deliveredBytes / 1e9, deliveredBytes / 1e6];
  const byThread = Object.entries(cost.cpuSecondsByThread)
    .map(([thread, seconds]) => [thread, seconds / gigabytes] as const)
    .toSorted(([, a], [, b]) => b - a);
  return {
    cpuSecondsPerGB: cost.cpuSeconds / gigabytes,
    cpuSecondsPerGBByThread: Object.fromEntries(byThread),
    wakeupsPerMB: cost.work.wakeUps / megabytes,
    contextSwitchesPerMB: cost.work.switches / megabytes,
    readsPerMB: cost.work.reads / megabytes,
    rssMaxMB: cost.rssMaxBytes / 1e6,
    receivedBytes: cost.receivedBytes,
    sentBytes: cost.sentBytes,
    sentBytesMax: cost.sentBytesMax,
  };
}
