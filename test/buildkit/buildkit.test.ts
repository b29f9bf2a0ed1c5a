import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Assets } from '../assets.ts';
import { Daemon, run } from '../e2e/daemon.ts';
import { makeImage, type TestImage } from '../e2e/image.ts';
import { CREDENTIALS, PublicAndLocked, SLACK_BYTES } from '../e2e/public-and-locked.ts';
import { scratchFolder } from '../e2e/scratch-folder.ts';
import { needs } from '../programs.ts';

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
  let daemon: Daemon;
  const servers = new PublicAndLocked();
  const { registries, registrySide, clientSide } = servers;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo', 'runc');
    const [client, server] = buildkit.needs(this, 'buildctl', 'buildkitd');
    buildctl = client!;
    dir = await scratchFolder();
    await servers.start(dir, 'team/app');
    daemon = await startBuildkit(server!);
  });

  after(async () => {
    await Promise.all([daemon?.stop(), servers.stop()]);
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
