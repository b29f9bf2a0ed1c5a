import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { needs } from '../programs.ts';
import { Containerd } from './containerd.ts';
import { CountingProxy } from './counting-proxy.ts';
import { makeImage, noise, type TestImage } from './image.ts';
import { freePorts, ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';

const MIB = 1024 * 1024;
/** Bytes of a test image's layers. */
const LAYERS_BYTES = [20, 9, 5, 2, 1].map((mib) => mib * MIB);
const CONTENT = 'root/io.containerd.content.v1.content';
const DEADLINE_MS = 60_000;

describe("e2e: the container runtime's content store", function () {
  this.timeout(180_000);
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let runtimes: Containerd[] = [];
  let nodes: ShoalNode[] = [];
  let ports: number[];
  let images = 0;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'containerd', 'ctr', 'runc');
    // On a disk: the kernel does not count what is written to memory.
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    registry = await DockerRegistry.start(dir);
    counting = await CountingProxy.start(registry.port);
  });

  beforeEach(async () => {
    ports = await freePorts(2);
    runtimes = await Promise.all(ports.map((port) => Containerd.start(join(dir, `ctd-${port}`))));
  });

  afterEach(async () => {
    counting.disturb = () => null;
    await Promise.all([...nodes.map((node) => node.stop()), ...runtimes.map((one) => one.stop())]);
    nodes = [];
  });

  after(async () => {
    await Promise.all([registry?.stop(), counting?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const start = async (index: number, more: object = {}): Promise<ShoalNode> => {
    const port = ports[index]!;
    const node = await ShoalNode.start(join(dir, `node-${port}`), {
      ProxyConfig: { registries: [{ upstream: `http://127.0.0.1:${counting.port}` }] },
      P2PConfig: { port, peers: ports.map((one) => `127.0.0.1:${one}`) },
      CacheConfig: {
        dir: join(dir, `node-${port}/cache`),
        capacity: 1_500 * MIB,
        memory: 64 * MIB,
        runtimeStore: join(dir, `ctd-${port}`, CONTENT),
        ...more,
      },
      ExporterConfig: { enable: true, port: 0 },
    });
    await runtimes[index]!.configure(
      counting.host,
      [
        'server = "http://reg.invalid"',
        `[host."http://${node.proxyHost}"]`,
        '  capabilities = ["pull", "resolve"]',
        '',
      ].join('\n'),
    );
    nodes.push(node);
    return node;
  };

  const freshImage = async (): Promise<TestImage & { reference: string }> => {
    const image = await makeImage(join(dir, `image-${++images}`), LAYERS_BYTES, 70 + images);
    await registry.push(image, `team/kept-${images}`);
    counting.reset();
    return { ...image, reference: `${counting.host}/team/kept-${images}:test` };
  };

  const pull = async (index: number, image: TestImage & { reference: string }): Promise<void> => {
    await runtimes[index]!.pull(image.reference);
    assert.equal(await runtimes[index]!.digest(image.reference), image.manifest.digest);
    const content = await runtimes[index]!.content();
    for (const { digest } of image.layers) assert.ok(content.includes(digest), digest);
  };

  const layerBytes = ({ layers }: TestImage): number =>
    layers.reduce((sum, { digest }) => sum + (counting.blobs.get(digest)?.bytes ?? 0), 0);

  const stop = async (node: ShoalNode, how: 'stop' | 'kill'): Promise<void> => {
    await node[how]();
    nodes = nodes.filter((one) => one !== node);
  };

  for (const setting of ['the store', 'off'] as const) {
    it(`${setting}: what the agent writes during a pull, and a second node`, async () => {
      const image = await freshImage();
      const first = await start(0, setting === 'off' ? { runtimeStore: 'off' } : {});
      await start(1);
      const beforeBytes = await writtenBytes(first);
      await pull(0, image);
      const wroteBytes = (await writtenBytes(first)) - beforeBytes;
      if (setting === 'off') assert.ok(wroteBytes >= image.blobBytes * 0.9, `wrote ${wroteBytes}`);
      else assert.ok(wroteBytes <= image.blobBytes * 0.05, `wrote ${wroteBytes}`);
      counting.reset();
      await pull(1, image);
      assert.equal(layerBytes(image), 0, 'the second node reads no layer from the registry');
    });
  }

  it('a second node reads from the ingest of a first that is still pulling', async () => {
    const image = await freshImage();
    await start(0, { memory: 32 * MIB });
    await start(1, { memory: 32 * MIB });
    const brake = counting.brake(12 * SHARD_BYTES);
    const first = pull(0, image);
    await brake.reached;
    const second = pull(1, image);
    brake.release();
    await Promise.all([first, second]);
    assert.ok(
      layerBytes(image) <= image.blobBytes * 1.01,
      `${layerBytes(image)} from the registry`,
    );
  });

  it('a killed agent, started again, serves what containerd has once it is verified', async () => {
    const image = await freshImage();
    const first = await start(0);
    await start(1);
    await pull(0, image);
    await stop(first, 'kill');
    const again = await start(0);
    await verified(again, image.layers.length);
    counting.reset();
    await pull(1, image);
    assert.equal(layerBytes(image), 0);
  });

  /** What happens to the first node's store before a second node pulls. */
  const harms: [
    string,
    (index: number, image: TestImage & { reference: string }) => Promise<void>,
  ][] = [
    ['its image is removed', (index, image) => runtimes[index]!.remove(image.reference)],
    [
      'its files are cut short',
      async (index, image) => {
        for (const { digest, size } of image.layers)
          await truncate(contentPath(index, digest), Math.floor(size / 2));
      },
    ],
    [
      'its files hold other bytes of the same length',
      async (index, image) => {
        for (const [at, { digest, size }] of image.layers.entries())
          await writeFile(contentPath(index, digest), noise(size, 900 + at));
      },
    ],
    [
      'it is not mounted any more',
      (index) => rename(contentDir(index), `${contentDir(index)}.away`),
    ],
  ];
  const contentDir = (index: number): string => join(dir, `ctd-${ports[index]}`, CONTENT);
  const contentPath = (index: number, digest: string): string =>
    join(contentDir(index), 'blobs', 'sha256', digest.slice('sha256:'.length));

  for (const [what, harm] of harms) {
    it(`no wrong byte and no failed pull when ${what}`, async () => {
      const image = await freshImage();
      // Memory for a few shards: most have to be read from the store.
      await start(0, { memory: 16 * MIB });
      await start(1, { memory: 16 * MIB });
      await pull(0, image);
      for (const { digest } of image.layers) await chmod(contentPath(0, digest), 0o644);
      await harm(0, image);
      await pull(1, image);
    });
  }
});

/** What a process has had written to disk, by the kernel's count. */
async function writtenBytes(node: ShoalNode): Promise<number> {
  const text = await readFile(`/proc/${node.daemon.child.pid}/io`, 'utf8');
  return Number(/^write_bytes: (\d+)$/m.exec(text)?.[1]);
}

async function verified(node: ShoalNode, blobs: number): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${node.exporterPort}/status`);
    const { runtimeStore } = (await response.json()) as {
      runtimeStore: { blobs: number; unverified: number };
    };
    if (runtimeStore.unverified === 0 && runtimeStore.blobs >= blobs) return;
    assert.ok(performance.now() < endMs, `not verified in time: ${JSON.stringify(runtimeStore)}`);
  }
}
