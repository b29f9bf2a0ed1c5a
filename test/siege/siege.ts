import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { residentBytes } from '../../native-bench/processor-time.ts';
import { median } from '../../native-bench/vs/comparison.ts';
import { ShoalNode } from '../e2e/node.ts';
import { BadPeer, vices, waitingVices, type Vice } from '../fault/bad-peer.ts';
import { freePorts } from '../free-ports.ts';
import { ATTACKS } from './attackers.ts';
import { BesiegedRegistry, OWNER, PRIVATE, type Trouble } from './registry.ts';

/** A pull of at most 12 MB that has not ended by then counts as hung. */
const PULL_DEADLINE_MS = 60_000;
/** A registry that was in trouble a moment ago may still be refused for. */
const TROUBLE_MEMORY_MS = 40_000;
const TROUBLE_MS = 4_000;
const QUIET_MS = 45_000;
const FROZEN_MS = 2_000;
const SAMPLE_MS = 2_000;
/** Until what the siege has opened is closed again. */
const REST_MS = 60_000;
/** Connections that nodes keep to each other and to the registry. */
const KEPT_DESCRIPTORS = 64;
/** From the second third of the time to the last. */
const GROWTH_MAX = 1.1;
const GROWTH_BYTES = 24 * 1024 * 1024;
const SIZES = [1, 70_000, 900_000, 2_097_152, 2_500_000, 4_194_305, 6_000_000, 12_000_000];
const MIB = 1024 * 1024;

/**
 * An owner that vouches for its own wrong bytes is found out by the digest of the blob alone, when
 * clients have them already (docs/ARCHITECTURE.md, Assumptions; test/fault/peers.test.ts).
 */
const VICES: readonly Vice[] = [...vices, ...waitingVices].filter(
  (vice) => vice !== 'sends wrong bytes and vouches for them',
);

export interface SiegeOptions {
  seconds: number;
  agents: number;
  clients: number;
  attackers: number;
}

export interface SiegeReport {
  /** What must never happen, and did. */
  violations: string[];
  pulls: { right: number; refused: number; broken: number; aborted: number };
  attacks: number;
  gigabytes: number;
  originGigabytes: number;
  slowestMs: number;
  residentMB: { first: number; last: number; most: number };
  descriptors: { first: number; last: number };
}

type Outcome = 'right' | 'refused' | 'broken' | 'aborted';

/**
 * Real nodes with clients, a registry that fails now and then, nodes that stand still, a member of
 * the swarm that lies, and strangers at the ports, all at once.
 */
export class Siege {
  readonly #options: SiegeOptions;
  readonly #registry: BesiegedRegistry;
  readonly #nodes: ShoalNode[] = [];
  readonly #report: SiegeReport;
  #endMs = 0;
  #troubledMs = Number.NEGATIVE_INFINITY;

  constructor(options: SiegeOptions) {
    this.#options = options;
    this.#registry = new BesiegedRegistry([...SIZES, ...SIZES, ...SIZES]);
    this.#report = {
      ...{ violations: [], attacks: 0, gigabytes: 0, originGigabytes: 0, slowestMs: 0 },
      pulls: { right: 0, refused: 0, broken: 0, aborted: 0 },
      residentMB: { first: 0, last: 0, most: 0 },
      descriptors: { first: 0, last: 0 },
    };
  }

  async run(): Promise<SiegeReport> {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-siege-'));
    await this.#registry.listen();
    const liar = await BadPeer.start(this.#registry.blobs, VICES[0]!);
    try {
      await this.#start(dir, liar.node);
      const before = this.#nodes.map(descriptorsOf);
      this.#endMs = performance.now() + this.#options.seconds * 1_000;
      const many = (count: number, loop: () => Promise<void>): Promise<void>[] =>
        Array.from({ length: count }, () => this.#whileItLasts(loop));
      const watching = this.#watch();
      await Promise.all([
        ...many(this.#options.clients, () => this.#pullOne()),
        ...many(this.#options.attackers, () => this.#attackOne()),
        this.#whileItLasts(() => this.#troubleOnce()),
        this.#whileItLasts(() => this.#freezeOnce()),
        this.#whileItLasts(async () => {
          liar.vice = one(VICES);
          await after(3_000);
        }),
      ]);
      await watching;
      await this.#rest(before);
    } finally {
      await Promise.all(this.#nodes.map((node) => node.kill()));
      liar.close();
      this.#registry.close();
      await rm(dir, { recursive: true, force: true });
    }
    this.#report.originGigabytes = this.#registry.sentBytes / 1e9;
    return this.#report;
  }

  async #start(dir: string, liar: string): Promise<void> {
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, 'a secret of thirty-two characters', { mode: 0o600 });
    const ports = await freePorts(this.#options.agents + 1);
    const [root = '', ...agents] = ports.map((port) => `127.0.0.1:${port}`);
    const start = (at: number): Promise<ShoalNode> =>
      ShoalNode.start(
        join(dir, `node-${at}`),
        {
          ProxyConfig: {
            registries: [{ upstream: `http://${this.#registry.host}` }],
            allow: ['127.0.0.2', '127.0.0.3'],
            accessTtl: 5,
          },
          P2PConfig: { port: ports[at], peers: [...agents, liar], roots: [root], secretFile },
          // Less than all blobs: memory and disk are evicted from.
          CacheConfig: { capacity: 64 * MIB, memory: 32 * MIB },
          ExporterConfig: { enable: true, port: 0 },
        },
        { role: at === 0 ? 'root' : 'agent' },
      );
    for (let at = 0; at < ports.length; at += 3)
      this.#nodes.push(
        ...(await Promise.all(ports.slice(at, at + 3).map((_port, index) => start(at + index)))),
      );
  }

  get #isOver(): boolean {
    return performance.now() >= this.#endMs;
  }

  get #agents(): ShoalNode[] {
    return this.#nodes.slice(1);
  }

  async #whileItLasts(step: () => Promise<void>): Promise<void> {
    while (!this.#isOver) await step();
  }

  #violated(what: string): void {
    if (this.#report.violations.length < 50) this.#report.violations.push(what);
  }

  async #pullOne(): Promise<void> {
    const node = one(this.#agents);
    const [digest, bytes] = one([...this.#registry.blobs]);
    const startBytes = Math.random() < 0.5 ? 0 : Math.floor(Math.random() * bytes.length);
    const abortBytes = Math.random() < 0.1 ? Math.random() * bytes.length : null;
    const startMs = performance.now();
    const outcome = await this.#pull(node, digest, startBytes, abortBytes);
    const tookMs = performance.now() - startMs;
    this.#report.slowestMs = Math.max(this.#report.slowestMs, tookMs);
    const wasWell = startMs - this.#troubledMs > TROUBLE_MEMORY_MS;
    if (wasWell && outcome !== 'right' && outcome !== 'aborted')
      this.#violated(
        `${outcome} after ${Math.round(tookMs)} ms at ${node.proxyHost}, ` +
          `while the registry was well: ${bytes.length} bytes from ${startBytes} on`,
      );
    // As a runtime does that goes to the next host.
    if (outcome === 'refused' || outcome === 'broken') await after(200);
  }

  #pull(
    node: ShoalNode,
    digest: string,
    startBytes: number,
    abortBytes: number | null,
  ): Promise<Outcome> {
    const due = this.#registry.blobs.get(digest)!;
    return new Promise((resolve) => {
      let atBytes = startBytes;
      let isOver = false;
      const end = (outcome: Outcome): void => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        request.destroy();
        this.#report.pulls[outcome] += 1;
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        this.#violated(`${atBytes} of ${due.length} bytes from ${node.proxyHost} in time`);
        end('broken');
      }, PULL_DEADLINE_MS);
      const request = get(
        {
          ...{ host: '127.0.0.1', port: node.proxyPort, path: `/v2/${PRIVATE}/blobs/${digest}` },
          headers: {
            authorization: OWNER,
            ...(startBytes === 0 ? {} : { range: `bytes=${startBytes}-` }),
          },
          agent: false,
        },
        (response) => {
          const { statusCode = 0 } = response;
          response.on('error', () => end('broken'));
          response.on('data', (chunk: Buffer) => {
            if (statusCode >= 300) return;
            if (!chunk.equals(due.subarray(atBytes, atBytes + chunk.length)))
              this.#violated(`wrong bytes from ${node.proxyHost} at ${atBytes} of ${due.length}`);
            atBytes += chunk.length;
            this.#report.gigabytes += chunk.length / 1e9;
            if (abortBytes !== null && atBytes - startBytes >= abortBytes) end('aborted');
          });
          response.on('end', () => {
            if (statusCode >= 300) end('refused');
            else end(atBytes === due.length ? 'right' : 'broken');
          });
        },
      );
      request.on('error', () => end('broken'));
    });
  }

  async #attackOne(): Promise<void> {
    const [name, attack] = one(Object.entries(ATTACKS));
    const [digest, bytes] = one(
      [...this.#registry.blobs].filter(([, { length }]) => length > 1_000),
    );
    const got = await attack({ node: one(this.#agents), registry: this.#registry, digest });
    this.#report.attacks += 1;
    if (got.includes(bytes.subarray(0, 64)) || got.includes(bytes.subarray(-64)))
      this.#violated(`the attack ${name} got bytes of a private blob`);
    if (got.includes(String(bytes.length)) && got.length < 4_096)
      this.#violated(`the attack ${name} was told a size: ${got.toString('latin1')}`);
    await after(20);
  }

  async #troubleOnce(): Promise<void> {
    await this.#pause(QUIET_MS * (0.1 + Math.random()));
    if (this.#isOver) return;
    this.#registry.trouble = one<Trouble>(['errors', 'silent', 'cuts', 'slow']);
    const untilMs = performance.now() + TROUBLE_MS;
    while (performance.now() < untilMs) {
      this.#troubledMs = performance.now();
      await after(100);
    }
    this.#registry.trouble = 'none';
    this.#troubledMs = performance.now();
  }

  async #freezeOnce(): Promise<void> {
    await this.#pause(5_000 + Math.random() * 10_000);
    const { pid } = one(this.#nodes).daemon.child;
    process.kill(pid!, 'SIGSTOP');
    await after(FROZEN_MS * Math.random());
    process.kill(pid!, 'SIGCONT');
  }

  /** Up to the end of the siege. */
  async #pause(ms: number): Promise<void> {
    await after(Math.max(0, Math.min(ms, this.#endMs - performance.now())));
  }

  async #watch(): Promise<void> {
    const samples: number[][] = [];
    await this.#whileItLasts(async () => {
      await this.#pause(SAMPLE_MS);
      samples.push(this.#nodes.map((node) => residentBytes(node.daemon.child.pid!)?.nowBytes ?? 0));
    });
    const third = Math.floor(samples.length / 3);
    for (const [at, node] of this.#nodes.entries()) {
      const of = (from: number, to: number): number =>
        median(samples.slice(from, to).map((sample) => sample[at]!));
      const [first, last] = [of(third, 2 * third), of(2 * third, samples.length)];
      const { residentMB } = this.#report;
      residentMB.first = Math.max(residentMB.first, Math.round(first / 1e6));
      residentMB.last = Math.max(residentMB.last, Math.round(last / 1e6));
      const most = Math.max(...samples.map((sample) => sample[at]!));
      residentMB.most = Math.max(residentMB.most, Math.round(most / 1e6));
      if (last > first * GROWTH_MAX + GROWTH_BYTES)
        this.#violated(`${node.proxyHost} grew from ${first} to ${last} bytes`);
    }
  }

  /** All is over: every blob comes from every agent, and nothing is left open. */
  async #rest(before: number[]): Promise<void> {
    const recoveredMs = performance.now() + TROUBLE_MEMORY_MS;
    for (const digest of this.#registry.blobs.keys())
      await Promise.all(
        this.#agents.map(async (node) => {
          while ((await this.#pull(node, digest, 0, null)) !== 'right') {
            if (performance.now() > recoveredMs)
              return this.#violated(`${node.proxyHost} does not serve ${digest} after the siege`);
            await after(500);
          }
        }),
      );
    const untilMs = performance.now() + REST_MS;
    const isBack = (): boolean =>
      this.#nodes.every((node, at) => descriptorsOf(node) <= before[at]! + KEPT_DESCRIPTORS);
    while (!isBack() && performance.now() < untilMs) await after(500);
    for (const [at, node] of this.#nodes.entries()) {
      if (!node.daemon.running) this.#violated(`node ${at} has ended:\n${node.daemon.output}`);
      else if (descriptorsOf(node) > before[at]! + KEPT_DESCRIPTORS)
        this.#violated(`node ${at} holds ${descriptorsOf(node)} descriptors, ${before[at]} before`);
    }
    this.#report.descriptors = {
      first: Math.max(...before),
      last: Math.max(...this.#nodes.map(descriptorsOf)),
    };
  }
}

function descriptorsOf({ daemon }: ShoalNode): number {
  return daemon.running ? readdirSync(`/proc/${daemon.child.pid}/fd`).length : 0;
}

function one<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)]!;
}
