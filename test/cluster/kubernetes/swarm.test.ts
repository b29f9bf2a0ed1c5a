import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ENDPOINT_SLICES } from '../../../lib/cluster/kubernetes/client.ts';
import { FEED_HOLD_MS, FEED_RETRY_MS } from '../../../lib/cluster/limits.ts';
import { FEED_WATCHERS } from '../../../lib/swarm/limits.ts';
import { parseRange, resolveRange } from '../../../lib/registry/range.ts';
import { httpGet, ShoalNode } from '../../e2e/node.ts';
import { nodeAccount } from './node-account.ts';
import { ApiServer } from '../../kube/api-server.ts';
import { kubeAssets } from '../../kube/assets.ts';
import { eventually } from '../../kube/eventually.ts';
import { itIfLong } from '../../long.ts';
import { endpointSlice } from '../endpoint-slice.ts';
import { freePorts } from '../../free-ports.ts';

const BLOB_BYTES = 12 * 1024 * 1024 + 12_345;
/** Three watch the API server, two take the list from them. */
const NODES = 5;

describe('real agents that discover each other through EndpointSlices', function () {
  this.timeout(120_000);
  let api: ApiServer;
  let dir: string;
  let origin: Server;
  let sentBytes = 0;
  const blobs = new Map<string, Buffer>();
  const nodes: ShoalNode[] = [];
  /**
   * Of this machine: an endpoint may not be on loopback; what is sent to one's own address does not
   * leave the machine either.
   */
  const address =
    Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '';
  const savedEnv = { ...process.env };

  before(async function () {
    const [etcd = '', apiServer = ''] = kubeAssets.needs(this, 'etcd', 'kube-apiserver');
    assert.notEqual(address, '', 'this machine has no address besides loopback');
    api = await ApiServer.start(etcd, apiServer);
    await api.namespace('shoal');
    dir = await mkdtemp(join(tmpdir(), 'shoal-kube-swarm-'));
    await writeFile(join(dir, 'secret'), 'a secret of thirty-two characters', { mode: 0o600 });
    Object.assign(process.env, await nodeAccount(api, dir));

    origin = createServer((request, response) => {
      const content = blobs.get(request.url!.split('/').at(-1)!);
      if (content === undefined) return void response.writeHead(404).end();
      const { status, startBytes, endBytes, contentRange } = resolveRange(
        parseRange(request.headers.range),
        content.length,
      );
      const body = content.subarray(startBytes, endBytes);
      response.writeHead(status, {
        'content-length': body.length,
        ...(contentRange === undefined ? {} : { 'content-range': contentRange }),
      });
      sentBytes += body.length;
      response.end(body);
    }).listen(0, '127.0.0.1');
    await once(origin, 'listening');

    // Each node is a service endpoint with a port of its own, which in a cluster would be an
    // address of its own.
    const ports = await freePorts(NODES);
    for (const [index, p2pPort] of ports.entries()) await announce(index, p2pPort);
    const upstream = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
    const started = await Promise.all(
      ports.map((p2pPort, index) =>
        ShoalNode.start(join(dir, `node-${index}`), {
          DeployConfig: { node: address },
          ProxyConfig: { registries: [{ upstream }], accessCheck: 'off' },
          ExporterConfig: { enable: true, port: 0 },
          P2PConfig: {
            port: p2pPort,
            discovery: 'kubernetes',
            service: 'shoal',
            secretFile: join(dir, 'secret'),
          },
        }),
      ),
    );
    nodes.push(...started);
  });
  after(async () => {
    for (const key of [
      'KUBERNETES_SERVICE_HOST',
      'KUBERNETES_SERVICE_PORT',
      'SHOAL_SERVICE_ACCOUNT_DIR',
    ]) {
      if (savedEnv[key] === undefined) delete process.env[key];
      else process.env[key] = savedEnv[key];
    }
    await Promise.all(nodes.map((node) => node.stop()));
    origin?.close();
    await api?.stop();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  async function announce(index: number, port: number): Promise<void> {
    const slice = endpointSlice('shoal', [address], {
      ports: [{ name: 'p2p', port, protocol: 'TCP' }],
    });
    slice.metadata.name = `shoal-${index}`;
    await api.client.create(ENDPOINT_SLICES, slice);
  }

  function newBlob(): string {
    const content = randomBytes(BLOB_BYTES);
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    blobs.set(digest, content);
    sentBytes = 0;
    return digest;
  }

  async function pull(node: ShoalNode, digest: string): Promise<void> {
    const { status, body } = await node.get(`/v2/app/blobs/${digest}`);
    assert.equal(status, 200);
    assert.equal(`sha256:${createHash('sha256').update(body).digest('hex')}`, digest);
  }

  /** What shoal_member_list_total of a node says, by result. */
  async function listed(node: ShoalNode): Promise<Record<string, number>> {
    const { body } = await httpGet(node.exporterPort!, '/metrics');
    const series = body
      .toString('utf8')
      .matchAll(/^shoal_member_list_total\{result="(\w+)"\} (\d+)/gm);
    return Object.fromEntries([...series].map(([, result, count]) => [result, Number(count)]));
  }

  /**
   * One copy for all. Nodes that do not know each other would take NODES of them; a shard or two
   * more are no sign of that, but of a machine so busy that an owner counted as slow.
   */
  const assertOneCopy = (): void =>
    assert.ok(
      sentBytes < BLOB_BYTES * 1.5,
      `${sentBytes} bytes from the origin for a blob of ${BLOB_BYTES}`,
    );

  it('fetch a blob from the origin once, whichever agent is asked', async () => {
    const digest = newBlob();
    for (const node of nodes) await pull(node, digest);
    assertOneCopy();
  });

  itIfLong('hold requests for the list longer than idle connections live', async () => {
    const before = await Promise.all(nodes.map(listed));
    const { value: now } = await eventually(
      'held requests of the others are answered',
      async () => {
        const counts = await Promise.all(nodes.map(listed));
        const isFed = counts.map(({ confirmed = 0 }, at) => confirmed > before[at]!['confirmed']!);
        return isFed.filter(Boolean).length >= NODES - FEED_WATCHERS && counts;
      },
      2 * FEED_HOLD_MS + FEED_RETRY_MS,
    );
    for (const [at, { silent, watching }] of now.entries()) {
      assert.equal(silent, before[at]!['silent'], 'every request is answered');
      assert.ok(watching! <= 1);
    }
  });

  it('learn from each other that a node is no endpoint any more, and stop asking it', async () => {
    const leaver = nodes.pop()!;
    // Nodes that start together may all watch at first, and look for one that feeds them later.
    await eventually(
      'a node that takes the list from others',
      async () => {
        const counts = await Promise.all(nodes.map(listed));
        const isFed = counts.map(({ confirmed = 0, changed = 0 }) => confirmed + changed > 0);
        return isFed.filter(Boolean).length >= nodes.length - FEED_WATCHERS;
      },
      1.5 * FEED_RETRY_MS + FEED_HOLD_MS,
    );
    const before = await Promise.all(nodes.map(listed));
    await api.client.remove(ENDPOINT_SLICES, 'shoal', `shoal-${NODES - 1}`);
    await leaver.stop();
    await eventually('nodes that do not watch take the list from others', async () => {
      const counts = await Promise.all(nodes.map(listed));
      const isFed = counts.map(({ changed = 0 }, at) => changed > before[at]!['changed']!);
      return isFed.filter(Boolean).length >= nodes.length - FEED_WATCHERS;
    });
    await eventually('the rest bring a blob without it', async () => {
      const digest = newBlob();
      for (const node of nodes) await pull(node, digest);
      assertOneCopy();
      return true;
    });
  });

  // The last: while the API server is down, all nodes turn to watching it, and do so for a while.
  it('continue without the API server', async () => {
    await api.crash();
    try {
      const digest = newBlob();
      await Promise.all(nodes.map((node) => pull(node, digest)));
      assertOneCopy();
    } finally {
      await api.restart();
    }
  });
});
