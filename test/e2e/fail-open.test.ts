import assert from 'node:assert/strict';
import { readFile, rm, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_PROBE_MS, PROBE_TIMEOUT_MS } from '../../lib/runtimes/limits.ts';
import { eventually } from '../kube/eventually.ts';
import { needs } from '../programs.ts';
import { Containerd } from './containerd.ts';
import { Daemon } from './daemon.ts';
import { makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { TokenServer } from './token-server.ts';
import { freePorts } from '../free-ports.ts';

const CLI = fileURLToPath(new URL('../../lib/shoal.js', import.meta.url));
const P2P_HOST = 'p2p.example.com:65001';
const REPOSITORY = 'team/app';
const USER = 'robot';
const PASSWORD = 'right';
/** A pull that starts at a silent node may take this much longer. */
const SILENT_NODE_MS = 5_000;

describe('a rewritten private image, whatever happens to the node', function () {
  let dir: string;
  let tokens: TokenServer;
  let registry: DockerRegistry;
  let containerd: Containerd;
  let image: TestImage;
  let proxyPort: number;
  let node: ShoalNode;
  let watch: Daemon;
  const reference = `${P2P_HOST}/${REPOSITORY}:test`;

  before(async function () {
    needs(this, 'containerd', 'ctr', 'runc', 'docker-registry', 'skopeo');
    dir = await mkdtemp(join(tmpdir(), 'shoal-fail-open-'));
    tokens = await TokenServer.start(dir, {
      [USER]: { password: PASSWORD, repositories: [REPOSITORY] },
    });
    registry = await DockerRegistry.start(dir, tokens);
    image = await makeImage(join(dir, 'image'), [3_000_000, 10_000]);
    await registry.push(image, REPOSITORY, `${USER}:${PASSWORD}`);
    containerd = await Containerd.start(dir);
    [proxyPort = 0] = await freePorts(1);
    node = await startNode();
    watch = await startWatch();
  });

  after(async () => {
    if (node?.daemon.running === true) node.daemon.child.kill('SIGCONT');
    await Promise.all([
      node?.stop(),
      watch?.stop(),
      containerd?.stop(),
      registry?.stop(),
      tokens?.stop(),
    ]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const startNode = (): Promise<ShoalNode> =>
    ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: {
        port: proxyPort,
        registries: [{ p2pHost: P2P_HOST, upstream: `http://${registry.host}` }],
      },
    });

  /** The sidecar of the chart. */
  async function startWatch(more: readonly string[] = []): Promise<Daemon> {
    const started = new Daemon(process.execPath, [
      CLI,
      'containerd',
      'watch',
      '--certs-dir',
      join(dir, 'certs.d'),
      '--mirror',
      `http://127.0.0.1:${proxyPort}`,
      '--upstream',
      `${P2P_HOST}=http://${registry.host}`,
      ...more,
    ]);
    await started.said(/hosts configured: the node is asked first/);
    return started;
  }

  const hostsToml = (): Promise<string> =>
    readFile(join(dir, 'certs.d', P2P_HOST, 'hosts.toml'), 'utf8');

  /** Pulls it anew with the credentials of the copied secret; resolves with the time it took. */
  async function pull(): Promise<number> {
    const beganMs = performance.now();
    await containerd.pull(reference, `${USER}:${PASSWORD}`);
    const tookMs = performance.now() - beganMs;
    assert.equal(await containerd.digest(reference), image.manifest.digest);
    await containerd.remove(reference);
    return tookMs;
  }

  it('pulls through the node', async () => {
    await pull();
    const { body } = await node.get('/shoal/trace?seconds=60');
    assert.ok(body.length > 0);
  });

  it('pulls with wrong credentials neither through the node nor without it', async () => {
    const { code } = await containerd.tryPull(reference, `${USER}:wrong`);
    assert.notEqual(code, 0);
  });

  it('pulls from the registry while the node is dead', async () => {
    await node.kill();
    await pull();
    const { code } = await containerd.tryPull(reference, `${USER}:wrong`);
    assert.notEqual(code, 0);
    node = await startNode();
  });

  it('pulls while the node is upgraded', async () => {
    const upgraded = node.stop().then(async () => (node = await startNode()));
    await pull();
    await pull();
    await upgraded;
    await pull();
  });

  it('pulls from the registry while the node is frozen, and through it afterwards', async () => {
    const upMs = await pull();
    await watch.said(/the node is asked first/);
    node.daemon.child.kill('SIGSTOP');
    const frozenMs = performance.now();
    await eventually(
      'the frozen node is left out',
      async () => !(await hostsToml()).includes('[host.'),
    );
    await pull();
    const tookMs = performance.now() - frozenMs;
    assert.ok(NODE_PROBE_MS + PROBE_TIMEOUT_MS < SILENT_NODE_MS);
    console.log(`      ${Math.round(upMs)} ms up, ${Math.round(tookMs)} ms from the freeze on`);
    assert.ok(tookMs < upMs + SILENT_NODE_MS + 1_000, `${tookMs} ms`);
    node.daemon.child.kill('SIGCONT');
    await eventually('the node is asked again', async () => (await hostsToml()).includes('[host.'));
    await pull();
  });

  it('continues a pull that waits for a frozen node, which is then killed', async () => {
    await watch.stop();
    watch = await startWatch(['--end-frozen', join(dir, 'node/config.yaml')]);
    const upMs = await pull();
    node.daemon.child.kill('SIGSTOP');
    const tookMs = await pull();
    console.log(`      ${Math.round(upMs)} ms up, ${Math.round(tookMs)} ms from the freeze on`);
    assert.ok(tookMs < upMs + SILENT_NODE_MS + 1_000, `${tookMs} ms`);
    await watch.said(/is frozen; it was ended/);
    await node.daemon.ended;
    node = await startNode();
    await eventually('the node is asked again', async () => (await hostsToml()).includes('[host.'));
    await pull();
  });

  it('pulls from the registry after node and watch are gone', async () => {
    await watch.stop();
    await node.stop();
    assert.match(await hostsToml(), new RegExp(`server = "http://${registry.host}"`));
    await pull();
  });
});
