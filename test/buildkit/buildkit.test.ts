import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Assets } from '../assets.ts';
import { CountingProxy } from '../e2e/counting-proxy.ts';
import { Daemon, run } from '../e2e/daemon.ts';
import { makeImage, type TestImage } from '../e2e/image.ts';
import { ShoalNode } from '../e2e/node.ts';
import { DockerRegistry } from '../e2e/registry.ts';
import { scratchFolder } from '../e2e/scratch-folder.ts';
import { TokenServer } from '../e2e/token-server.ts';
import { freePorts } from '../free-ports.ts';
import { needs } from '../programs.ts';

const CREDENTIALS = 'alice:wonder';
/** Configs are smaller than a shard and may be asked for together with the right to read them. */
const SLACK_BYTES = 2_000;
/** Needs no containerd, no overlayfs and no network of its own. */
const CONFIG = `
[worker.oci]
  enabled = true
  snapshotter = "native"
  networkMode = "host"
[worker.containerd]
  enabled = false
`;

const buildkit = new Assets<'buildctl' | 'buildkitd'>('buildkit');

describe('buildkit: base images come through a node', () => {
  let dir: string;
  let buildctl: string;
  let node: ShoalNode;
  let daemon: Daemon;
  let tokens: TokenServer;
  const registries: DockerRegistry[] = [];
  /** Between the node and the registry, the public one and the locked one. */
  const registrySide: CountingProxy[] = [];
  /** Between BuildKit and the node. */
  const clientSide: CountingProxy[] = [];

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'runc');
    const [client, server] = buildkit.needs(this, 'buildctl', 'buildkitd');
    buildctl = client!;
    dir = await scratchFolder();
    tokens = await TokenServer.start(dir, {
      alice: { password: 'wonder', repositories: ['team/app'] },
    });
    for (const auth of [undefined, tokens]) {
      const home = join(dir, auth === undefined ? 'public' : 'locked');
      await mkdir(home);
      registries.push(await DockerRegistry.start(home, auth));
    }
    const [port = 0] = await freePorts(1);
    for (const registry of registries) {
      registrySide.push(await CountingProxy.start(registry.port));
      clientSide.push(await CountingProxy.start(port));
    }
    node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: {
        port,
        registries: registrySide.map(({ host }, at) => ({
          p2pHost: clientSide[at]!.host,
          upstream: `http://${host}`,
        })),
      },
    });
    daemon = await startBuildkit(server!);
  });

  after(async () => {
    await Promise.all([
      daemon?.stop(),
      node?.stop(),
      tokens?.stop(),
      ...registries.map((one) => one.stop()),
      ...[...registrySide, ...clientSide].map((one) => one.stop()),
    ]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  /** The node is the mirror of both registries. */
  async function startBuildkit(program: string): Promise<Daemon> {
    const registryConfig = registrySide.map(({ host }, at) => {
      const mirror = clientSide[at]!.host;
      return `
[registry."${host}"]
  http = true
  mirrors = ["${mirror}"]
[registry."${mirror}"]
  http = true
`;
    });
    const config = join(dir, 'buildkitd.toml');
    await writeFile(
      config,
      `root = "${join(dir, 'buildkit')}"\n[grpc]\n  address = ["${address()}"]\n${CONFIG}` +
        registryConfig.join(''),
    );
    const started = new Daemon(program, ['--config', config]);
    await started.said(/running server on/);
    return started;
  }

  function address(): string {
    return `unix://${join(dir, 'buildkit.sock')}`;
  }

  /** Builds an image that is its base, and returns the digests of the blobs in its layout. */
  async function build(name: string, base: string): Promise<Set<string>> {
    const context = join(dir, `${name}-context`);
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${base}\nLABEL built=yes\n`);
    const layout = join(dir, `${name}-layout`);
    const hosts = [...registrySide, ...clientSide].map(({ host }) => host);
    const auth = { auth: Buffer.from(CREDENTIALS).toString('base64') };
    const docker = join(dir, 'docker');
    await mkdir(docker, { recursive: true });
    await writeFile(
      join(docker, 'config.json'),
      JSON.stringify({ auths: Object.fromEntries(hosts.map((host) => [host, auth])) }),
    );
    await run('env', [
      `DOCKER_CONFIG=${docker}`,
      buildctl,
      '--addr',
      address(),
      'build',
      '--frontend=dockerfile.v0',
      `--local=context=${context}`,
      `--local=dockerfile=${context}`,
      `--output=type=oci,tar=false,dest=${layout}`,
    ]);
    const { stdout } = await run('ls', [join(layout, 'blobs/sha256')]);
    return new Set(stdout.split('\n').map((hex) => `sha256:${hex}`));
  }

  for (const [at, what] of ['public', 'private, behind a token server'].entries())
    it(what, async () => {
      const name = `image-${at}`;
      const image: TestImage = await makeImage(join(dir, name), [5_000_000, 20_000], 60 + at);
      await registries[at]!.push(image, 'team/app', at === 1 ? CREDENTIALS : undefined);
      const [seen, origin] = [clientSide[at]!, registrySide[at]!];
      const blobs = await build(name, `${origin.host}/team/app:test`);
      for (const { digest, size } of image.layers) {
        assert.ok(blobs.has(digest), `${digest} is not in what was built`);
        assert.ok((seen.blobs.get(digest)?.bytes ?? 0) >= size, `${digest} came past the node`);
      }
      assert.ok(
        origin.blobBytes <= image.blobBytes + SLACK_BYTES,
        `${origin.blobBytes} bytes of ${image.blobBytes} left the registry`,
      );
    });
});
