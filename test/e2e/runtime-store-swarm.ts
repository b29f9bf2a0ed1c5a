import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from 'mocha';
import { ask } from '../../lib/doctor/ask.ts';
import { Envelope } from '../../lib/wire/envelope.ts';
import { holdersPath, parseHolderNames } from '../../lib/wire/holders.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';
import { containerdAssets } from './assets.ts';
import { Containerd, type ContainerdPrograms } from './containerd.ts';
import { CountingProxy } from './counting-proxy.ts';
import { until } from '../telemetry/until.ts';
import { makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { freePorts } from '../free-ports.ts';

const MIB = 1024 * 1024;
const DEADLINE_MS = 60_000;
const SECRET = 'the secret of the nodes of a test';
const RECURSIVELY = { recursive: true, force: true };
/** Where a containerd has its content store, under the folder of its own. */
const CONTENT = 'root/io.containerd.content.v1.content';

export type PushedImage = TestImage & { reference: string };

/** What a node says of its runtime's content store. */
interface StoreStatus {
  state: string;
  blobs: number;
  unverified: number;
  dropsLayers: boolean;
}

/** A containerd 2.x that pulls each layer in parallel ranges; skips the suite if it is missing. */
export function modernContainerd(context: Context): ContainerdPrograms {
  const [containerd = '', ctr = ''] = containerdAssets.needs(context, 'containerd', 'ctr');
  return { containerd, ctr, parallel: { rangeBytes: 4 * MIB, requests: 3 } };
}

/**
 * Nodes with a real containerd each, whose content stores they read, and a registry behind a proxy
 * that counts. Everything is on a disk: the kernel does not count what is written to memory.
 */
export class StoreSwarm {
  readonly dir: string;
  readonly counting: CountingProxy;
  runtimes: Containerd[] = [];
  nodes: (ShoalNode | null)[] = [];
  readonly #diskDir: string;
  readonly #registry: DockerRegistry;
  readonly #programs: ContainerdPrograms | undefined;
  #ports: number[] = [];
  #images = 0;

  private constructor(
    dir: string,
    diskDir: string,
    registry: DockerRegistry,
    counting: CountingProxy,
    programs: ContainerdPrograms | undefined,
  ) {
    this.dir = dir;
    this.#diskDir = diskDir;
    this.#registry = registry;
    this.counting = counting;
    this.#programs = programs;
  }

  /** `diskDir`: where nodes and runtimes keep their files, if not beside the registry's. */
  static async start(programs?: ContainerdPrograms, diskDir?: string): Promise<StoreSwarm> {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    await writeFile(join(dir, 'secret'), SECRET, { mode: 0o600 });
    const registry = await DockerRegistry.start(dir);
    const counting = await CountingProxy.start(registry.port);
    return new StoreSwarm(dir, diskDir ?? dir, registry, counting, programs);
  }

  /** A containerd for each of `count` nodes; the nodes do not run yet. */
  async begin(count: number): Promise<void> {
    this.#ports = await freePorts(count);
    this.nodes = this.#ports.map(() => null);
    this.runtimes = await Promise.all(
      this.#ports.map((port) =>
        Containerd.start(
          join(this.#diskDir, `ctd-${port}`),
          ...(this.#programs ? [this.#programs] : []),
        ),
      ),
    );
  }

  /** Ends all nodes and runtimes. */
  async end(): Promise<void> {
    await Promise.all([this.endNodes(), ...this.runtimes.map((one) => one.stop())]);
    this.runtimes = [];
    await this.#remove('ctd');
  }

  /** Ends all nodes; their runtimes go on. */
  async endNodes(): Promise<void> {
    this.counting.disturb = () => null;
    await Promise.all(this.nodes.map((node) => node?.stop()));
    this.nodes = this.#ports.map(() => null);
    // A cache takes all of its capacity from the disk.
    await this.#remove('node');
  }

  async stop(): Promise<void> {
    await Promise.all([this.#registry.stop(), this.counting.stop()]);
    await rm(this.dir, RECURSIVELY);
  }

  /** Starts node `index`; its containerd pulls through it from now on. `more`: of CacheConfig. */
  async node(
    index: number,
    more: object = {},
    options: Parameters<typeof ShoalNode.start>[2] = {},
  ): Promise<ShoalNode> {
    const port = this.#ports[index]!;
    const sections = {
      DeployConfig: { logAudit: true, logAuditMode: 'file' },
      ProxyConfig: { registries: [{ upstream: `http://${this.counting.host}` }] },
      P2PConfig: {
        port,
        secretFile: join(this.dir, 'secret'),
        peers: this.#ports.map((one) => `127.0.0.1:${one}`),
      },
      CacheConfig: {
        dir: join(this.#diskDir, `node-${port}/cache`),
        capacity: 256 * MIB,
        memory: 64 * MIB,
        runtimeStore: this.contentDir(index),
        ...more,
      },
      ExporterConfig: { enable: true, port: 0 },
    };
    const node = await ShoalNode.start(join(this.#diskDir, `node-${port}`), sections, options);
    await this.#route(index, node.proxyHost);
    this.nodes[index] = node;
    return node;
  }

  /** Starts a node beside each of the first runtimes, all at once, with its part of CacheConfig. */
  pair(first: object, second: object): Promise<[ShoalNode, ShoalNode]> {
    return Promise.all([this.node(0, first), this.node(1, second)]);
  }

  async stopNode(index: number, how: 'stop' | 'kill'): Promise<void> {
    await this.nodes[index]![how]();
    this.nodes[index] = null;
  }

  /** An image in the registry that no other image shares a layer with. */
  async image(layerBytes: readonly number[]): Promise<PushedImage> {
    const image = await makeImage(
      join(this.dir, `image-${++this.#images}`),
      layerBytes,
      70 + this.#images,
    );
    await this.#registry.push(image, `team/kept-${this.#images}`);
    this.counting.reset();
    return { ...image, reference: `${this.counting.host}/team/kept-${this.#images}:test` };
  }

  /** Pulls and checks that every layer is there with its digest. */
  async pull(index: number, image: PushedImage, deadlineMs?: number): Promise<void> {
    const runtime = this.runtimes[index]!;
    await runtime.pull(image.reference, undefined, deadlineMs);
    assert.equal(await runtime.digest(image.reference), image.manifest.digest);
    const content = await runtime.content();
    for (const { digest } of image.layers) assert.ok(content.includes(digest), digest);
  }

  /** The same, past every node. */
  async pullDirectly(index: number, image: PushedImage): Promise<void> {
    await this.#route(index, this.counting.host);
    await this.pull(index, image);
    const node = this.nodes[index];
    if (node != null) await this.#route(index, node.proxyHost);
  }

  /** Bytes of the layers that the registry has sent since the last reset. */
  originBytes({ layers }: TestImage): number {
    return layers.reduce(
      (sum, { digest }) => sum + (this.counting.blobs.get(digest)?.bytes ?? 0),
      0,
    );
  }

  contentDir(index: number): string {
    return join(this.#diskDir, `ctd-${this.#ports[index]}`, CONTENT);
  }

  blobPath(index: number, digest: string): string {
    return join(this.contentDir(index), 'blobs/sha256', digest.slice('sha256:'.length));
  }

  /** Digests of what containerd `index` has, without what was cut or replaced. */
  async intact(index: number): Promise<string[]> {
    const digests: string[] = [];
    for (const name of await readdir(join(this.contentDir(index), 'blobs/sha256'))) {
      const bytes = await readFile(this.blobPath(index, `sha256:${name}`));
      if (createHash('sha256').update(bytes).digest('hex') === name) digests.push(`sha256:${name}`);
    }
    return digests;
  }

  /** Containerd `index` has at least `count` of the image's layers. */
  async committed(index: number, { layers }: TestImage, count: number): Promise<void> {
    await eventually(async () => {
      const names = await readdir(join(this.contentDir(index), 'blobs/sha256'));
      const have = layers.filter(({ digest }) => names.includes(digest.slice('sha256:'.length)));
      return have.length >= count ? null : `${have.length} of ${count} layers`;
    });
  }

  /** Resolves when the status of a node is as `isDone` wants it. */
  async status(index: number, isDone: (status: StoreStatus) => boolean): Promise<void> {
    await eventually(async () => {
      const response = await fetch(`http://127.0.0.1:${this.nodes[index]!.exporterPort}/status`);
      const { runtimeStore } = (await response.json()) as { runtimeStore: StoreStatus };
      return isDone(runtimeStore) ? null : JSON.stringify(runtimeStore);
    });
  }

  /** Resolves when the audit log of a node has a line with `text`. */
  async audited(index: number, text: string): Promise<void> {
    const file = join(this.nodes[index]!.dir, 'log/audit.log');
    await eventually(async () =>
      (await readFile(file, 'utf8')).includes(text) ? null : `nothing of ${text}`,
    );
  }

  /** The value of a counter of a node, all its series together or those with `labels`. */
  async counter(index: number, name: string, labels = ''): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.nodes[index]!.exporterPort}/metrics`);
    let sum = 0;
    for (const line of (await response.text()).split('\n'))
      if (line.startsWith(name) && line.includes(labels))
        sum += Number(line.slice(line.lastIndexOf(' ')));
    return sum;
  }

  /**
   * Node `index` has verified `blobs` blobs, and a keeper of each of them knows that it has it: a
   * blob that was verified first is told of before the others.
   */
  async offered(index: number, blobs: number): Promise<void> {
    await this.status(index, (at) => at.unverified === 0 && at.blobs >= blobs);
    const keys = await this.intact(index);
    const running = this.#ports.filter((_, at) => this.nodes[at] !== null);
    const name = `127.0.0.1:${this.#ports[index]}`;
    for (const key of keys)
      await eventually(async () => {
        const found = await Promise.all(running.map((port) => this.#holders(port, key)));
        return found.flat().includes(name) ? null : `no keeper of ${key} knows ${name}`;
      });
  }

  /** The nodes that the node at `port` says have a blob whole. */
  async #holders(port: number, key: string): Promise<string[]> {
    const node = `127.0.0.1:${port}`;
    const self = '127.0.0.1:1';
    const secret = new ClusterSecret(Buffer.from(SECRET));
    const path = holdersPath({ key, node: self });
    const headers = new Envelope({ secret, self, wallMs: Date.now }).headers(node, path);
    const { status, text } = await ask('http', { host: '127.0.0.1', port, path, headers });
    assert.equal(status, 200, text);
    return parseHolderNames(text) ?? [];
  }

  async #remove(what: 'ctd' | 'node'): Promise<void> {
    await Promise.all(
      this.#ports.map((port) => rm(join(this.#diskDir, `${what}-${port}`), RECURSIVELY)),
    );
  }

  async #route(index: number, host: string): Promise<void> {
    await this.runtimes[index]!.configure(
      this.counting.host,
      [
        'server = "http://reg.invalid"',
        `[host."http://${host}"]`,
        '  capabilities = ["pull", "resolve"]',
        '',
      ].join('\n'),
    );
  }
}

/** What a process has had written to disk, by the kernel's count. */
export async function writtenBytes(node: ShoalNode): Promise<number> {
  const text = await readFile(`/proc/${node.daemon.child.pid}/io`, 'utf8');
  return Number(/^write_bytes: (\d+)$/m.exec(text)?.[1]);
}

/** Repeats `check` until it returns null; what it returned last is the failure's reason. */
async function eventually(check: () => Promise<string | null>): Promise<void> {
  let problem: string | null = null;
  const isDone = async (): Promise<boolean> => (problem = await check()) === null;
  await until(isDone, 'a node', DEADLINE_MS).catch((error: Error) => {
    throw new Error(`${error.message}: ${problem}`);
  });
}
