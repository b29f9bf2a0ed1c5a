import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { Containerd } from './containerd.ts';
import { CountingProxy } from './counting-proxy.ts';
import { run, tryRun, withHosts } from './daemon.ts';
import { digestOf, makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { freePorts } from '../free-ports.ts';

const LAYERS_BYTES = [9_000_000, 5_000_000, 1_000_000, 2_000, 7_000_000];

describe('e2e: runtimes pull through nodes', () => {
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let hostsFile: string;
  let nodes: ShoalNode[] = [];
  let containerd: Containerd;
  let images = 0;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'containerd', 'ctr', 'runc', 'unshare');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    hostsFile = join(dir, 'hosts');
    await writeFile(hostsFile, '127.0.0.1 localhost\n127.0.0.1 reg.test reg.distributed.test\n');
    registry = await DockerRegistry.start(dir);
    counting = await CountingProxy.start(registry.port);
    containerd = await Containerd.start(dir);
    const secretFile = join(dir, 'secret');
    await writeFile(secretFile, 'a secret of thirty-two characters', { mode: 0o600 });
    const ports = await freePorts(2);
    const peers = ports.map((port) => `127.0.0.1:${port}`);
    nodes = await Promise.all(
      ports.map((port, index) =>
        ShoalNode.start(
          join(dir, `node-${index}`),
          {
            ProxyConfig: { registries: [{ upstream: `http://reg.test:${counting.port}` }] },
            P2PConfig: { port, peers, secretFile },
          },
          { hostsFile },
        ),
      ),
    );
  });

  beforeEach(() => counting.reset());

  after(async () => {
    await Promise.all([
      ...nodes.map((node) => node.stop()),
      containerd?.stop(),
      registry?.stop(),
      counting?.stop(),
    ]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  /** An image no node has seen. */
  async function freshImage(repository: string): Promise<TestImage> {
    const image = await makeImage(join(dir, `image-${++images}`), LAYERS_BYTES, images);
    await registry.push(image, repository);
    counting.reset();
    return image;
  }

  /** What skopeo wrote into a directory is the image, byte for byte. */
  async function assertCopied(image: TestImage, target: string): Promise<void> {
    assert.equal(digestOf(await readFile(join(target, 'manifest.json'))), image.manifest.digest);
    for (const { digest } of [image.config, ...image.layers])
      assert.equal(digestOf(await readFile(join(target, digest.slice('sha256:'.length)))), digest);
  }

  const assertOnce = (image: TestImage): void => {
    assert.ok(
      counting.blobBytes <= image.blobBytes,
      `${counting.blobBytes} bytes of ${image.blobBytes} left the registry`,
    );
    for (const { digest, size } of [image.config, ...image.layers])
      assert.equal(counting.blobs.get(digest)?.bytes, size, digest);
  };

  const assertNothing = (image: TestImage): void => {
    const layers = image.layers.map(({ digest }) => counting.blobs.get(digest)?.bytes ?? 0);
    assert.deepEqual(
      layers,
      image.layers.map(() => 0),
      'the second pull takes no layer byte from the registry',
    );
  };

  it('skopeo, by the default upstream', async () => {
    const image = await freshImage('team/skopeo');
    for (const [index, node] of nodes.entries()) {
      if (index > 0) counting.reset();
      const target = join(dir, `skopeo-${index}`);
      await run('skopeo', [
        'copy',
        '--src-tls-verify=false',
        '--preserve-digests',
        `docker://${node.proxyHost}/team/skopeo:test`,
        `dir:${target}`,
      ]);
      await assertCopied(image, target);
      (index === 0 ? assertOnce : assertNothing)(image);
    }
  });

  it('skopeo, by the Host rule', async () => {
    const image = await freshImage('team/ruled');
    for (const [index, node] of nodes.entries()) {
      if (index > 0) counting.reset();
      const target = join(dir, `ruled-${index}`);
      const skopeo = withHosts(hostsFile, 'skopeo', [
        'copy',
        '--src-tls-verify=false',
        '--preserve-digests',
        `docker://reg.distributed.test:${node.proxyPort}/team/ruled:test`,
        `dir:${target}`,
      ]);
      await run(skopeo.program, skopeo.args);
      await assertCopied(image, target);
      (index === 0 ? assertOnce : assertNothing)(image);
    }
  });

  it('containerd, by hosts.toml and ns', async () => {
    const image = await freshImage('team/mirrored');
    const reference = `reg.test:${counting.port}/team/mirrored:test`;
    for (const [index, node] of nodes.entries()) {
      if (index > 0) counting.reset();
      await containerd.configure(
        `reg.test:${counting.port}`,
        `server = "http://reg.invalid"\n\n[host."http://${node.proxyHost}"]\n  ` +
          'capabilities = ["pull", "resolve"]\n',
      );
      await containerd.pull(reference);
      assert.equal(await containerd.digest(reference), image.manifest.digest);
      await containerd.remove(reference);
      (index === 0 ? assertOnce : assertNothing)(image);
    }
  });

  it('two runtimes through two nodes at once: each byte leaves the registry once', async () => {
    const image = await freshImage('team/together');
    await Promise.all(
      nodes.map(async (node, index) => {
        const target = join(dir, `together-${index}`);
        await run('skopeo', [
          'copy',
          '--src-tls-verify=false',
          '--preserve-digests',
          `docker://${node.proxyHost}/team/together:test`,
          `dir:${target}`,
        ]);
        await assertCopied(image, target);
      }),
    );
    assertOnce(image);
  });

  it('an unknown image fails as it does at the registry', async () => {
    const [direct, through] = await Promise.all(
      [registry.host, nodes[0]!.proxyHost].map((host) =>
        tryRun('skopeo', ['inspect', '--tls-verify=false', `docker://${host}/team/none:test`]),
      ),
    );
    assert.notEqual(through!.code, 0);
    const reason = /manifest unknown|name unknown|repository name not known/i;
    assert.equal(
      reason.exec(through!.stderr)?.[0],
      reason.exec(direct!.stderr)?.[0],
      through!.stderr,
    );
  });
});
