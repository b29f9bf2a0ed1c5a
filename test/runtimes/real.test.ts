import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runPreheat } from '../../lib/commands/preheat.ts';
import { runProgram } from '../../lib/commands/program.ts';
import { DemoRegistry } from '../../lib/demo/registry.ts';
import { makeSampleImage } from '../../lib/demo/sample-image.ts';
import { probe } from '../../lib/runtimes/node-address.ts';
import { Containerd } from '../e2e/containerd.ts';
import { CountingProxy } from '../e2e/counting-proxy.ts';
import { run } from '../e2e/daemon.ts';
import { makeImage } from '../e2e/image.ts';
import { ShoalNode } from '../e2e/node.ts';
import { DockerRegistry } from '../e2e/registry.ts';
import { needs } from '../programs.ts';

const LAYERS_BYTES = [5_000_000, 3_000_000, 1_000];

describe('runtime commands with real programs', () => {
  let dir: string;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let node: ShoalNode;
  let closed: DemoRegistry;
  let images = 0;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await mkdtemp(join(tmpdir(), 'shoal-real-'));
    registry = await DockerRegistry.start(dir);
    counting = await CountingProxy.start(registry.port);
    closed = await DemoRegistry.start(await makeSampleImage('closed', [4_000_000, 1_000]));
    const upstreams = [
      { upstream: `http://127.0.0.1:${counting.port}` },
      { p2pHost: 'closed.example', upstream: closed.url },
    ];
    node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: { registries: upstreams, allow: ['127.0.0.1'] },
    });
  });

  after(async () => {
    await Promise.all([node?.stop(), registry?.stop(), counting?.stop(), closed?.close()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  async function freshImage(
    repository: string,
  ): Promise<{ reference: string; blobBytes: number; digest: string }> {
    const image = await makeImage(join(dir, `image-${++images}`), LAYERS_BYTES, images);
    await registry.push(image, repository);
    counting.reset();
    return {
      reference: `127.0.0.1:${counting.port}/${repository}:test`,
      blobBytes: image.blobBytes,
      digest: image.manifest.digest,
    };
  }

  async function shoal(...args: string[]): Promise<{ code: number; out: string }> {
    let out = '';
    const code = await runProgram(args, {
      out: (text) => void (out += text),
      err: (text) => void (out += text),
    });
    return { code, out };
  }

  it('recognises a Shoal node and no other server', async () => {
    assert.equal(await probe(`http://${node.proxyHost}/accelerator`), 'shoal');
    assert.equal(await probe(`http://${registry.host}/accelerator`), 'other');
  });

  it('preheat brings an image into the node once; a repetition asks for nothing', async () => {
    const { reference, blobBytes } = await freshImage('team/preheated');
    for (const expected of [blobBytes, 0]) {
      counting.reset();
      const { code, out } = await shoal(
        'preheat',
        reference,
        '--via',
        `http://${node.proxyHost}`,
        '--platform',
        'linux/amd64',
        '--json',
      );
      assert.equal(code, 0, out);
      const report = JSON.parse(out.trimEnd().split('\n').at(-1)!) as {
        ok: boolean;
        bytes: number;
      };
      assert.deepEqual([report.ok, report.bytes], [true, blobBytes]);
      // A config of a few hundred bytes may be asked for again with the right to read it.
      assert.ok(
        Math.abs(counting.blobBytes - expected) <= 2_000,
        `${counting.blobBytes} bytes, not ${expected}`,
      );
    }
  });

  it('preheat reads a private image with valid credentials only', async () => {
    const { username, password } = closed.credentials;
    const preheat = async (given: string): Promise<{ code: number; bytes: number }> => {
      let out = '';
      const options = {
        via: `http://${node.proxyHost}`,
        platform: 'linux/amd64',
        json: true,
        user: username,
        passwordStdin: true,
      };
      const code = await runPreheat(
        [`${new URL(closed.url).host}/shoal/sample`],
        options,
        { out: (text) => void (out += text), err: () => undefined },
        async () => given,
      );
      return { code, bytes: (JSON.parse(out) as { bytes: number }).bytes };
    };
    assert.deepEqual(await preheat('wrong'), { code: 1, bytes: 0 });
    const { code, bytes } = await preheat(password);
    assert.deepEqual([code, bytes > 4_000_000], [0, true]);
    assert.deepEqual(await preheat('wrong'), { code: 1, bytes: 0 });
  });

  it('containerd pulls through the node, without it, and is restored', async function () {
    needs(this, 'containerd', 'ctr', 'runc');
    const { reference, blobBytes, digest } = await freshImage('team/mirrored');
    const containerd = await Containerd.start(dir);
    const certs = join(dir, 'certs.d');
    const host = `127.0.0.1:${counting.port}`;
    try {
      await containerd.configure(host, `server = "http://${host}"\n`);
      const { code, out } = await shoal(
        'containerd',
        'configure',
        '--registry',
        host,
        '--certs-dir',
        certs,
        '--mirror',
        `http://${node.proxyHost}`,
      );
      assert.equal(code, 0, out);
      await containerd.pull(reference);
      assert.equal(await containerd.digest(reference), digest);
      assert.equal(counting.blobBytes, blobBytes);
      await containerd.remove(reference);
      counting.reset();
      await containerd.pull(reference);
      assert.equal(
        counting.blobBytes < blobBytes / 10,
        true,
        'the second pull comes from the node',
      );
      await containerd.remove(reference);

      await shoal(
        'containerd',
        'configure',
        '--registry',
        host,
        '--certs-dir',
        certs,
        '--mirror',
        'http://127.0.0.1:1',
      );
      await containerd.pull(reference);
      assert.equal(await containerd.digest(reference), digest);
      await containerd.remove(reference);

      await shoal('containerd', 'restore', '--registry', host, '--certs-dir', certs);
      assert.equal(
        await readFile(join(certs, host, 'hosts.toml'), 'utf8'),
        `server = "http://${host}"\n`,
      );
      await containerd.pull(reference);
    } finally {
      await containerd.stop();
    }
  });

  it('skopeo pulls through the node with the podman drop-in', async () => {
    const { reference, blobBytes } = await freshImage('team/dropped');
    // Besides the system's folder of drop-ins, a user's own is read.
    const home = join(dir, 'home');
    const conf = join(home, '.config/containers/registries.conf.d');
    await mkdir(conf, { recursive: true });
    const { code, out } = await shoal(
      'podman',
      'configure',
      '--registry',
      `127.0.0.1:${counting.port}`,
      '--dir',
      conf,
      '--mirror',
      `http://${node.proxyHost}`,
    );
    assert.equal(code, 0, out);
    for (const expected of [blobBytes, 0]) {
      counting.reset();
      await run('env', [
        `HOME=${home}`,
        'skopeo',
        'copy',
        '--src-tls-verify=false',
        `docker://${reference}`,
        `dir:${join(dir, `copied-${expected}`)}`,
      ]);
      assert.ok(
        Math.abs(counting.blobBytes - expected) <= 2_000,
        `${counting.blobBytes} bytes, not ${expected}`,
      );
    }
  });

  it('skopeo pulls by a P2P host from the registry behind it while the node is away', async () => {
    const { blobBytes } = await freshImage('team/behind');
    const home = join(dir, 'home-behind');
    const conf = join(home, '.config/containers/registries.conf.d');
    await mkdir(conf, { recursive: true });
    const { code, out } = await shoal(
      'podman',
      'configure',
      '--registry',
      'p2p.example:65001',
      '--upstream',
      `p2p.example:65001=http://127.0.0.1:${counting.port}`,
      '--dir',
      conf,
      '--mirror',
      'http://127.0.0.1:1',
    );
    assert.equal(code, 0, out);
    await run('env', [
      `HOME=${home}`,
      'skopeo',
      'copy',
      'docker://p2p.example:65001/team/behind:test',
      `dir:${join(dir, 'behind')}`,
    ]);
    assert.ok(Math.abs(counting.blobBytes - blobBytes) <= 2_000, `${counting.blobBytes} bytes`);
  });
});
