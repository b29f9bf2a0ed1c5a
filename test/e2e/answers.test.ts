import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { answer, OriginServer, serveAsObjectStore } from '../origin/origin-server.ts';
import { digestOf, noise } from './image.ts';
import { ShoalNode, type Answer } from './node.ts';

const BLOB = noise(5_000_000, 7);
const DIGEST = digestOf(BLOB);
const EMPTY = digestOf(Buffer.alloc(0));

describe('e2e: what a node answers', () => {
  let dir: string;
  let node: ShoalNode;
  let origin: OriginServer;
  let store: OriginServer;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    store = await OriginServer.start((request, response) => {
      if (request.url!.includes(EMPTY)) serveAsObjectStore(Buffer.alloc(0))(request, response);
      else serveAsObjectStore(BLOB, (asked) => asked.url!.includes('expired'))(request, response);
    });
    origin = await OriginServer.start((request, response) => {
      const [, status] = /\/status-(\d+)\//.exec(request.url!) ?? [];
      if (request.url!.includes('/astray/'))
        answer(response, 307, '', { location: 'https://store.evil.example/x?Signature=hunter2' });
      else if (status !== undefined)
        answer(
          response,
          Number(status),
          '{"errors":[{"code":"FROM_UPSTREAM","message":"said so"}]}',
          {
            'content-type': 'application/json',
            ...(status === '401' ? { 'www-authenticate': 'Bearer realm="http://t/"' } : {}),
            ...(status === '503' ? { 'retry-after': '9' } : {}),
          },
        );
      else if (request.url!.includes('/blobs/'))
        answer(response, 307, '', {
          location: `${store.url}/sha256/${request.url!}?Signature=hunter2`,
        });
      else
        answer(response, 200, '{}', {
          'content-type': 'application/vnd.oci.image.index.v1+json',
          'docker-content-digest': digestOf(Buffer.from('{}')),
          'x-other': '1',
        });
    });
    node = await ShoalNode.start(join(dir, 'node'), {
      ProxyConfig: {
        registries: [{ upstream: origin.url }, { p2pHost: 'gone', upstream: 'http://127.0.0.1:1' }],
        allow: [store.host],
      },
    });
  });

  after(async () => {
    await Promise.all([node?.stop(), origin?.stop(), store?.stop()]);
    await rm(dir, { recursive: true });
  });

  const blob = (headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
    node.get(`/v2/a/blobs/${DIGEST}`, headers, method);
  const errorCode = (answered: Answer): string =>
    (JSON.parse(answered.body.toString()) as { errors: { code: string }[] }).errors[0]!.code;

  it('a blob: whole, by HEAD, and by its digest as ETag', async () => {
    const whole = await blob();
    assert.deepEqual(
      [
        whole.status,
        whole.headers['content-length'],
        whole.headers['docker-content-digest'],
        whole.headers['accept-ranges'],
      ],
      [200, String(BLOB.length), DIGEST, 'bytes'],
    );
    assert.ok(whole.body.equals(BLOB));
    assert.equal(whole.headers['content-encoding'], undefined);
    const head = await blob({}, 'HEAD');
    assert.deepEqual(
      [head.status, head.headers['content-length'], head.body.length],
      [200, String(BLOB.length), 0],
    );
  });

  it('HEAD keeps the connection open for the next request', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const asks: [method: string, path: string, status: number][] = [
      ['HEAD', `/v2/a/blobs/${DIGEST}`, 200],
      ['HEAD', '/elsewhere', 404],
      ['HEAD', '/v2/', 200],
      ['GET', `/v2/a/blobs/${DIGEST}`, 200],
    ];
    try {
      for (const [index, [method, path, status]] of asks.entries()) {
        const asking = request({
          host: '127.0.0.1',
          port: node.proxyPort,
          path,
          method,
          agent,
        }).end();
        const [answered] = (await once(asking, 'response')) as [IncomingMessage];
        await once(answered.resume(), 'end');
        assert.deepEqual(
          [answered.statusCode, asking.reusedSocket],
          [status, index > 0],
          `${method} ${path}`,
        );
      }
    } finally {
      agent.destroy();
    }
  });

  const ranges: [string, number, number, number][] = [
    ['bytes=0-0', 206, 0, 1],
    ['bytes=0-65535', 206, 0, 65_536],
    [`bytes=${SHARD_BYTES - 1}-${SHARD_BYTES}`, 206, SHARD_BYTES - 1, SHARD_BYTES + 1],
    ['bytes=4999999-', 206, 4_999_999, 5_000_000],
    ['bytes=-10', 206, 4_999_990, 5_000_000],
    ['bytes=4900000-9999999', 206, 4_900_000, 5_000_000],
    ['bytes=1-2,5-6', 200, 0, 5_000_000],
    ['bytes=9-1', 200, 0, 5_000_000],
    ['octets=1-2', 200, 0, 5_000_000],
  ];
  for (const [range, status, from, to] of ranges) {
    it(`${range}: ${status}`, async () => {
      const part = await blob({ range });
      assert.equal(part.status, status);
      assert.equal(
        part.headers['content-range'],
        status === 206 ? `bytes ${from}-${to - 1}/${BLOB.length}` : undefined,
      );
      assert.equal(part.headers['content-length'], String(to - from));
      assert.ok(part.body.equals(BLOB.subarray(from, to)));
    });
  }

  for (const range of ['bytes=5000000-', 'bytes=99999999-99999999', 'bytes=-0']) {
    it(`${range}: 416`, async () => {
      const refused = await blob({ range });
      assert.deepEqual(
        [refused.status, refused.headers['content-range']],
        [416, `bytes */${BLOB.length}`],
      );
    });
  }

  it('416 to a range past the end of an unknown blob', async () => {
    const refused = await node.get(`/accelerator/${store.url}/unseen`, {
      range: 'bytes=7000000-7000001',
    });
    assert.deepEqual(
      [refused.status, refused.headers['content-range']],
      [416, `bytes */${BLOB.length}`],
    );
  });

  it('If-Range: the part for the same digest, otherwise the whole', async () => {
    const { etag } = (await blob({}, 'HEAD')).headers;
    assert.equal((await blob({ range: 'bytes=0-9', 'if-range': etag! })).status, 206);
    assert.equal((await blob({ range: 'bytes=0-9', 'if-range': '"other"' })).status, 200);
  });

  it('an empty blob', async () => {
    const empty = await node.get(`/v2/a/blobs/${EMPTY}`);
    assert.deepEqual(
      [empty.status, empty.headers['content-length'], empty.body.length],
      [200, '0', 0],
    );
  });

  it('on demand: size by bytes=0-0, then parts; the cache key has no signature', async () => {
    const asked = (query: string, range: string) =>
      node.get(`/accelerator/${store.url}//docker/x%2Fy/layer?${query}`, { range });
    const first = await asked('Expires=1&Signature=a%2B', 'bytes=0-0');
    assert.deepEqual(
      [first.status, first.headers['content-range'], first.body.length],
      [206, `bytes 0-0/${BLOB.length}`, 1],
    );
    assert.ok(
      (await asked('Expires=2&Signature=b', 'bytes=4000000-4065535')).body.equals(
        BLOB.subarray(4_000_000, 4_065_536),
      ),
    );
    assert.ok(
      store.seen.some(({ url }) => url === '//docker/x%2Fy/layer?Expires=1&Signature=a%2B'),
    );
    const expired = await asked('Signature=expired', 'bytes=0-65535');
    assert.equal(expired.status, 403, 'the client signs again');
  });

  it('never HEAD to object storage', () =>
    assert.deepEqual(
      store.seen.filter(({ method }) => method !== 'GET'),
      [],
    ));

  it('a manifest as the registry sent it', async () => {
    const manifest = await node.get('/v2/a/manifests/v1', { accept: 'a/b' });
    assert.deepEqual(
      [
        manifest.status,
        manifest.body.toString(),
        manifest.headers['content-type'],
        manifest.headers['content-length'],
        manifest.headers['docker-content-digest'],
        manifest.headers['x-other'],
      ],
      [
        200,
        '{}',
        'application/vnd.oci.image.index.v1+json',
        '2',
        digestOf(Buffer.from('{}')),
        undefined,
      ],
    );
    assert.equal(
      origin.seen.findLast(({ url }) => url === '/v2/a/manifests/v1')!.headers.accept,
      'a/b',
    );
    const head = await node.get('/v2/a/manifests/v1', {}, 'HEAD');
    assert.deepEqual([head.status, head.headers['content-length']], [200, '2']);
  });

  it('OCI-Namespace: the registry that `ns` named, with blobs and manifests', async () => {
    const ns = encodeURIComponent(origin.host);
    for (const path of [`/v2/a/blobs/${DIGEST}`, '/v2/a/manifests/v1'])
      for (const method of ['GET', 'HEAD']) {
        const named = await node.get(`${path}?ns=${ns}`, {}, method);
        assert.deepEqual([named.status, named.headers['oci-namespace']], [200, origin.host], path);
        const plain = await node.get(path, {}, method);
        assert.equal(plain.headers['oci-namespace'], undefined, path);
      }
  });

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    it(`405 to ${method}`, async () => {
      const refused = await node.get('/v2/a/blobs/uploads/', {}, method);
      assert.deepEqual(
        [refused.status, refused.headers.allow, errorCode(refused)],
        [405, 'GET, HEAD', 'UNSUPPORTED'],
      );
    });
  }

  it('403 for a host that is not allowed, also in a redirect', async () => {
    for (const path of [
      '/accelerator/http://evil.example/x',
      '/accelerator/http://169.254.169.254/latest/meta-data',
      '/accelerator/http://[::1]:1/',
      '/v2/?ns=evil.example',
      `/accelerator/http://127.0.0.1:${origin.port + 1}/`,
    ]) {
      const refused = await node.get(path);
      assert.deepEqual([refused.status, errorCode(refused)], [403, 'DENIED'], path);
    }
    await node.daemon.said(/evil\.example/, 5_000);
    for (const path of ['/v2/astray/manifests/v1', `/v2/astray/blobs/${DIGEST}`]) {
      const refused = await node.get(path);
      assert.deepEqual([refused.status, errorCode(refused)], [403, 'DENIED'], path);
      await node.daemon.said(
        new RegExp(`"url":"${origin.url}${path}".*store\\.evil\\.example:443`),
        5_000,
      );
    }
    assert.ok(!node.daemon.output.includes('hunter2'));
  });

  for (const path of ['/v2/a/blobs/sha256:zz', '/v2/A/manifests/v1', '/accelerator/nonsense']) {
    it(`400 to ${path}`, async () => assert.equal((await node.get(path)).status, 400));
  }

  for (const status of [401, 403, 404, 500, 503]) {
    it(`the upstream's ${status}, for a manifest and for a blob`, async () => {
      for (const path of [
        `/v2/status-${status}/manifests/v1`,
        `/v2/status-${status}/blobs/${digestOf(Buffer.from(String(status)))}`,
      ]) {
        const refused = await node.get(path, { authorization: 'Basic eDp5' });
        assert.equal(refused.status, status, path);
        assert.equal(errorCode(refused), 'FROM_UPSTREAM');
        if (status === 401)
          assert.equal(refused.headers['www-authenticate'], 'Bearer realm="http://t/"');
        if (status === 503) assert.equal(refused.headers['retry-after'], '9');
      }
    });
  }

  it('502 in the OCI form when the registry cannot be reached', async () => {
    for (const path of ['/v2/a/manifests/v1', `/v2/a/blobs/${digestOf(Buffer.from('gone'))}`]) {
      const refused = await node.get(path, { host: 'gone' });
      assert.equal(refused.status, 502);
      assert.equal(errorCode(refused), 'UNKNOWN');
    }
  });
});
