import type { ImagePlan } from '../../lib/demo/image.ts';
import type { NodeProcess } from '../../lib/demo/node-process.ts';
import { planPull, pullImage, type PullOutcome } from '../../lib/demo/pull.ts';
import { RegistryClient } from '../../lib/demo/registry-client.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import { DemoSwarm } from '../../lib/demo/swarm.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { UP_PULL_DEADLINE_MS } from '../../lib/commands/limits.ts';
import { cliPath } from '../../test/built-program.ts';
import { percentile, type Report } from '../sim/report.ts';
import { Random } from '../sim/random.ts';
import { Costs, peerWork } from './costs.ts';
import type { LabOptions } from './options.ts';

/** Field for field the JSON of `npm run lab -- --json`. */
export interface LabReport extends Omit<Report, 'idealSeconds' | 'failedReads'> {
  /** Nothing shapes the links of loopback: there is no ideal to hold the times against. */
  idealSeconds: null;
  system: 'shoal';
  cpuSecondsPerGB: number;
  rssMaxMB: number;
  ttfbMaxSeconds: number;
  failedPulls: number;
  /**
   * Requests at the registry for the shard, or small blob, asked for most often, access checks
   * apart.
   */
  requestsPerShardMax: number;
  killed: number;
  /** What went wrong with pulls of survivors, one line each. */
  problems: string[];
}

const NODE_COMMAND = [process.execPath, cliPath];

/** Killed nodes die when so much of all bytes has reached clients, at random between. */
const KILL_FROM = 0.1;
const KILL_TO = 0.8;

/**
 * Runs a pull of all agents at once in `dir`; `started` hears of every process. Throws when the
 * swarm does not start.
 */
export async function runLab(
  options: LabOptions,
  dir: string,
  signal: AbortSignal,
  started: (node: NodeProcess) => void,
  say: (line: string) => void,
): Promise<LabReport> {
  const startedMs = performance.now();
  const random = new Random(options.seed);
  const small = Array.from({ length: options.small }, () => 1_000 + random.below(7_000));
  say(
    `making an image of ${options.layers} layer(s), ${options.imageBytes} bytes, and ` +
      `${options.small} small ones`,
  );
  const image = await makeSampleImage(`lab ${options.seed}`, [
    ...Array<number>(options.layers).fill(Math.ceil(options.imageBytes / options.layers)),
    ...small,
  ]);
  const imageBytes = image.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
  const registry = await DemoRegistry.start(image);
  const ending = AbortSignal.any([signal, AbortSignal.timeout(UP_PULL_DEADLINE_MS)]);
  try {
    say(`starting 1 root and ${options.nodes} agents`);
    const swarm = await DemoSwarm.start(
      { dir, agents: options.nodes, upstream: registry.url, allow: [], imageBytes },
      NODE_COMMAND,
      ending,
      started,
    );
    const agents = swarm.nodes.filter((node) => node.role === 'agent');
    const victims = chooseVictims(agents, options.kill, imageBytes, random);
    const direct = new RegistryClient(
      { url: registry.url, namespace: null },
      registry.credentials,
      ending,
    );
    const plan = await planPull(direct, image.repository, image.tag);
    const costs = new Costs(swarm.nodes, registry);
    const clients = new Clients(registry, victims, ending);
    say('pulling');
    const outcomes = await Promise.all(
      agents.map(async (node) => {
        await new Promise((go) => setTimeout(go, random.next() * options.spreadMs));
        return [node, await clients.pull(node, plan)] as const;
      }),
    );
    const { cpuSeconds, rssMaxBytes, originPeakBytesPerSecond } = costs.end();
    const survivors = outcomes.filter(([node]) => !victims.has(node));
    const failed = survivors.filter(([, { digestsOk }]) => !digestsOk);
    const work = await peerWork(swarm.nodes.filter((node) => node.running));
    const { blobs, shardRequestsMax } = registry.traffic;
    const seconds = survivors.map(([, outcome]) => outcome.seconds).toSorted((a, b) => a - b);
    const shards = image.blobs.reduce(
      (sum, { bytes }) => sum + Math.ceil(bytes.length / SHARD_BYTES),
      0,
    );
    await direct.close();
    await swarm.stop();
    return {
      mode: 'shoal',
      seed: options.seed,
      nodes: options.nodes,
      imageBytes,
      idealSeconds: null,
      p50Seconds: percentile(seconds, 0.5),
      p95Seconds: percentile(seconds, 0.95),
      p99Seconds: percentile(seconds, 0.99),
      maxSeconds: percentile(seconds, 1),
      originBytes: blobs.bytes,
      originPeakGbps: (originPeakBytesPerSecond * 8) / 1e9,
      originRequests: blobs.requests,
      uploadMaxOverMean: work.uploadMaxOverMean,
      messagesPerShard: work.messages / (shards * survivors.length),
      depthMax: work.depthMax,
      unfinished: failed.length,
      wallSeconds: (performance.now() - startedMs) / 1000,
      system: 'shoal',
      cpuSecondsPerGB: cpuSeconds / (clients.deliveredBytes / 1e9),
      rssMaxMB: rssMaxBytes / 1e6,
      ttfbMaxSeconds: clients.ttfbMaxMs / 1000,
      failedPulls: failed.length,
      requestsPerShardMax: shardRequestsMax,
      killed: victims.size,
      problems: failed.flatMap(([node, { problems }]) =>
        problems.map((problem) => `${node.name}: ${problem}`),
      ),
    };
  } finally {
    await registry.close();
  }
}

/** A share of the agents, and the delivered bytes of all at which each of them is killed. */
function chooseVictims(
  agents: readonly NodeProcess[],
  share: number,
  imageBytes: number,
  random: Random,
): Map<NodeProcess, number> {
  const chosen = random.shuffled(agents).slice(0, Math.floor(share * agents.length));
  const allBytes = imageBytes * agents.length;
  return new Map(
    chosen.map((node) => [node, (KILL_FROM + random.next() * (KILL_TO - KILL_FROM)) * allBytes]),
  );
}

/** The clients of all agents: they count what they receive, and kill the victims by it. */
class Clients {
  deliveredBytes = 0;
  /** The longest wait of a survivor for the first byte of a blob. */
  ttfbMaxMs = 0;
  readonly #registry: DemoRegistry;
  readonly #victims: ReadonlyMap<NodeProcess, number>;
  readonly #ending: AbortSignal;

  constructor(
    registry: DemoRegistry,
    victims: ReadonlyMap<NodeProcess, number>,
    ending: AbortSignal,
  ) {
    this.#registry = registry;
    this.#victims = victims;
    this.#ending = ending;
  }

  async pull(node: NodeProcess, plan: ImagePlan): Promise<PullOutcome> {
    const client = new RegistryClient(
      { url: node.addresses.proxy, namespace: new URL(this.#registry.url).host },
      this.#registry.credentials,
      this.#ending,
    );
    const isVictim = this.#victims.has(node);
    const timed: Pick<RegistryClient, 'manifest' | 'blob'> = {
      manifest: (repository, reference) => client.manifest(repository, reference),
      blob: (repository, digest, onBytes) => {
        const askedMs = performance.now();
        let isFirst = true;
        return client.blob(repository, digest, (bytes) => {
          if (isFirst && !isVictim)
            this.ttfbMaxMs = Math.max(this.ttfbMaxMs, performance.now() - askedMs);
          isFirst = false;
          onBytes(bytes);
        });
      },
    };
    const outcome = await pullImage(
      timed,
      plan,
      () => performance.now(),
      (bytes) => this.#count(bytes),
    );
    await client.close();
    return outcome;
  }

  #count(bytes: number): void {
    this.deliveredBytes += bytes;
    for (const [node, atBytes] of this.#victims) if (this.deliveredBytes >= atBytes) node.kill();
  }
}
