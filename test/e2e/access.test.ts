import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { Containerd } from './containerd.ts';
import { CountingProxy } from './counting-proxy.ts';
import { tryRun } from './daemon.ts';
import { digestOf, makeImage, type TestImage } from './image.ts';
import { ShoalNode } from './node.ts';
import { DockerRegistry } from './registry.ts';
import { TokenServer } from './token-server.ts';

describe('e2e: private images', () => {
  let dir: string;
  let tokens: TokenServer;
  let registry: DockerRegistry;
  let counting: CountingProxy;
  let node: ShoalNode;
  let image: TestImage;
  let other: TestImage;

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    tokens = await TokenServer.start(dir, {
      alice: { password: 'wonder', repositories: ['team/app'] },
      bob: { password: 'builder', repositories: ['team/other'] },
    });
    registry = await DockerRegistry.start(dir, tokens);
    counting = await CountingProxy.start(registry.port);
    node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: { registries: [{ upstream: `http://${counting.host}` }] },
    });
    image = await makeImage(join(dir, 'image'), [5_000_000, 3_000], 1);
    other = await makeImage(join(dir, 'other'), [1_000_000], 2);
    await registry.push(image, 'team/app', 'alice:wonder');
    await registry.push(other, 'team/other', 'bob:builder');
  });

  beforeEach(() => counting.reset());

  after(async () => {
    await Promise.all([node?.stop(), tokens?.stop(), registry?.stop(), counting?.stop()]);
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const bearer = (user: string, repository: string): Record<string, string> => ({
    authorization: `Bearer ${tokens.token(user, repository)}`,
  });
  const layerPath = (): string => `/v2/team/app/blobs/${image.layers[0]!.digest}`;

  it("are pulled with the password, by skopeo, with the registry's own challenge", async () => {
    const target = join(dir, 'copy');
    const skopeo = (login: string) =>
      tryRun('skopeo', [
        'copy',
        '--src-tls-verify=false',
        '--preserve-digests',
        '--src-creds',
        login,
        `docker://${node.proxyHost}/team/app:test`,
        `dir:${target}`,
      ]);
    assert.notEqual((await skopeo('alice:wrong')).code, 0);
    assert.notEqual((await skopeo('bob:builder')).code, 0);
    assert.equal(counting.blobBytes, 0);
    const finished = await skopeo('alice:wonder');
    assert.equal(finished.code, 0, finished.stderr);
    assert.equal(counting.blobBytes, image.blobBytes);
  });

  it('are served from the cache only to clients that the registry accepts', async () => {
    const authorization = bearer('alice', 'team/app');
    const read = await node.get(layerPath(), authorization);
    assert.equal(digestOf(read.body), image.layers[0]!.digest);
    counting.reset();
    for (const headers of [
      {},
      { authorization: 'Bearer nonsense' },
      bearer('bob', 'team/other'),
      { authorization: `Basic ${Buffer.from('alice:wrong').toString('base64')}` },
    ]) {
      const refused = await node.get(layerPath(), headers as Record<string, string>);
      assert.equal(refused.status, 401, JSON.stringify(headers));
      assert.match(String(refused.headers['www-authenticate']), /^Bearer realm=/);
      assert.ok(refused.body.length < 10_000);
    }
    assert.equal(counting.blobBytes, 0, 'a check is one byte');
    assert.ok(counting.checks >= 3);
  });

  it('are not served under the name of a repository the client may read', async () => {
    await node.get(layerPath(), bearer('alice', 'team/app'));
    const foreign = await node.get(
      `/v2/team/other/blobs/${image.layers[0]!.digest}`,
      bearer('bob', 'team/other'),
    );
    assert.equal(foreign.status, 404);
  });

  it('cost one check a credential, also for concurrent clients, for a minute', async () => {
    const authorization = bearer('alice', 'team/app');
    await node.get(layerPath(), authorization);
    const fresh = bearer('alice', 'team/app');
    assert.notDeepEqual(fresh, authorization);
    counting.reset();
    const reads = await Promise.all(
      Array.from({ length: 8 }, () =>
        node.get(layerPath(), { ...fresh, range: 'bytes=1000-1999' }),
      ),
    );
    assert.deepEqual(new Set(reads.map(({ status }) => status)), new Set([206]));
    await node.get(layerPath(), fresh);
    assert.equal(counting.checks, 1);
    assert.equal(counting.blobBytes, 0);
  });

  it("are pulled by containerd with a token of the registry's token server", async function () {
    needs(this, 'containerd', 'ctr', 'runc');
    const containerd = await Containerd.start(dir);
    const reference = `${counting.host}/team/app:test`;
    try {
      await containerd.configure(
        counting.host,
        `server = "http://registry.invalid"\n\n[host."http://${node.proxyHost}"]\n  ` +
          'capabilities = ["pull", "resolve"]\n',
      );
      assert.notEqual((await containerd.tryPull(reference)).code, 0);
      assert.notEqual((await containerd.tryPull(reference, 'bob:builder')).code, 0);
      await containerd.pull(reference, 'alice:wonder');
      assert.equal(await containerd.digest(reference), image.manifest.digest);
    } finally {
      await containerd.stop();
    }
  });

  it('are pulled even if another allowed host was asked for their digests before', async () => {
    const page = createServer(
      (_request, response) => void response.writeHead(200, { 'content-length': 4 }).end('page'),
    ).listen(0, '127.0.0.1');
    await once(page, 'listening');
    const pageHost = `127.0.0.1:${(page.address() as AddressInfo).port}`;
    const fresh = await ShoalNode.start(join(dir, 'fresh'), {
      ProxyConfig: {
        registries: [
          { upstream: `http://${counting.host}` },
          { p2pHost: 'page', upstream: `http://${pageHost}` },
        ],
      },
    });
    try {
      assert.equal((await fresh.get(layerPath(), { host: 'page' })).status, 502);
      const read = await fresh.get(
        `${layerPath()}?ns=${counting.host}`,
        bearer('alice', 'team/app'),
      );
      assert.equal(read.status, 200, read.body.toString('utf8', 0, 300));
      assert.equal(digestOf(read.body), image.layers[0]!.digest);
      assert.equal((await fresh.get(layerPath(), { host: 'page' })).status, 502);
    } finally {
      page.close();
      await fresh.stop();
    }
  });

  it('leave no token, password or signature in log or cache', async () => {
    const { authorization } = bearer('alice', 'team/app') as { authorization: string };
    await node.get(`${layerPath()}?Signature=hunter2`, { authorization });
    await node.get('/accelerator/http://evil.example/x?Signature=hunter2', { authorization });
    const secret = authorization.slice('Bearer '.length).split('.')[2]!;
    for (const text of [secret, 'hunter2']) {
      assert.ok(!node.daemon.output.includes(text));
      assert.equal(
        (await tryRun('grep', ['-raqF', '--', text, node.dir])).code,
        1,
        `${text.slice(0, 8)}... is in a file of the node`,
      );
    }
  });
});
