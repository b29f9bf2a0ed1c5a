import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { ManualClock, systemClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { ORIGIN_REDIRECTS_MAX } from '../../lib/origin/limits.ts';
import { OriginClient, type OriginTools } from '../../lib/origin/client.ts';
import {
  answer,
  OriginServer,
  pattern,
  RecordingSink,
  serveAsObjectStore,
  serveRanges,
} from './origin-server.ts';

const BLOB = pattern(100_000);
const AUTHORIZATION = 'Bearer hunter2';

describe('registry/origin', () => {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  async function serve(listener: RequestListener): Promise<OriginServer> {
    const server = await OriginServer.start(listener);
    stops.push(() => server.stop());
    return server;
  }

  function client(allow: string[], tools: OriginTools = {}): OriginClient {
    const made = new OriginClient({ allow, registries: [] }, tools);
    stops.push(() => made.close());
    return made;
  }

  const target = (
    server: OriginServer,
    path = '/blob',
    authorization: string | undefined = AUTHORIZATION,
  ) => ({
    url: server.url + path,
    upstreamHost: server.host,
    ...(authorization === undefined ? {} : { authorization }),
  });
  const want = (offsetBytes: number, lengthBytes: number, totalBytes: number | null = null) => ({
    offsetBytes,
    lengthBytes,
    totalBytes,
  });
  const failure = async (promise: Promise<unknown>): Promise<ShoalError> => {
    const thrown = await promise.then(
      () => assert.fail('should have failed'),
      (error: unknown) => error,
    );
    assert.ok(thrown instanceof ShoalError, String(thrown));
    for (const secret of ['hunter2', 'Signature'])
      assert.ok(!JSON.stringify({ ...thrown.toWire(), body: '' }).includes(secret), thrown.message);
    return thrown;
  };

  describe('readRange', () => {
    it("reads a part, with the client's credential, unencoded", async () => {
      const server = await serve(serveRanges(BLOB));
      const sink = new RecordingSink();
      assert.deepEqual(
        await client([server.host]).readRange(target(server), want(1_000, 50_000), sink),
        { requests: 1 },
      );
      assert.deepEqual(sink.heads, [
        { totalBytes: BLOB.length, startBytes: 1_000, lengthBytes: 50_000 },
      ]);
      assert.ok(sink.bytes.equals(BLOB.subarray(1_000, 51_000)));
      const { method, headers } = server.seen[0]!;
      assert.equal(method, 'GET');
      assert.equal(headers.range, 'bytes=1000-50999');
      assert.equal(headers.authorization, AUTHORIZATION);
      assert.equal(headers['accept-encoding'], 'identity');
    });

    it('uses its connections again', async () => {
      const server = await serve(serveRanges(BLOB));
      const origin = client([server.host]);
      for (let at = 0; at < 20; at++)
        await origin.readRange(target(server), want(at * 10, 10), new RecordingSink());
      // The next request may be out before the connection of the last one counts as free again.
      assert.ok(server.connections <= 2, `${server.connections} connections`);
    });

    it('sends path and query as they are', async () => {
      const server = await serve(serveRanges(BLOB));
      await client([server.host]).readRange(
        target(server, '/a//b/../%2F%41?Signature=a%2Bb%3D&x=/?'),
        want(0, 1),
        new RecordingSink(),
      );
      assert.equal(server.seen[0]!.url, '/a//b/../%2F%41?Signature=a%2Bb%3D&x=/?');
    });

    it('reads an empty object, whichever way the server says so', async () => {
      for (const listener of [serveRanges(Buffer.alloc(0)), serveAsObjectStore(Buffer.alloc(0))]) {
        const server = await serve(listener);
        const sink = new RecordingSink();
        await client([server.host]).readRange(target(server), want(0, 100), sink);
        assert.deepEqual(sink.heads, [{ totalBytes: 0, startBytes: 0, lengthBytes: 0 }]);
        assert.equal(sink.bytes.length, 0);
      }
    });

    it('clamps to a known size, so that an object store keeps to the range', async () => {
      const server = await serve(serveAsObjectStore(BLOB));
      const sink = new RecordingSink();
      assert.deepEqual(
        await client([server.host]).readRange(
          target(server),
          want(90_000, 50_000, BLOB.length),
          sink,
        ),
        { requests: 1 },
      );
      assert.equal(server.seen[0]!.headers.range, 'bytes=90000-99999');
      assert.ok(sink.bytes.equals(BLOB.subarray(90_000)));
    });

    it('learns the size where an object store answers 200 past the end, and asks again', async () => {
      const server = await serve(serveAsObjectStore(BLOB));
      const sink = new RecordingSink();
      assert.deepEqual(
        await client([server.host]).readRange(target(server), want(90_000, 50_000), sink),
        { requests: 2 },
      );
      assert.deepEqual(sink.heads, [
        { totalBytes: BLOB.length, startBytes: 90_000, lengthBytes: 10_000 },
      ]);
      assert.ok(sink.bytes.equals(BLOB.subarray(90_000)));
      assert.equal(server.seen[1]!.headers.range, 'bytes=90000-99999');
    });

    it('takes a whole object asked for from its start, and no more of it than wanted', async () => {
      const server = await serve(serveAsObjectStore(BLOB));
      const sink = new RecordingSink();
      assert.deepEqual(
        await client([server.host]).readRange(target(server), want(0, 200_000), sink),
        { requests: 1 },
      );
      assert.ok(sink.bytes.equals(BLOB));
      const plain = await serve((_request, response) => answer(response, 200, BLOB));
      const start = new RecordingSink();
      await client([plain.host]).readRange(target(plain), want(0, 10), start);
      assert.ok(start.bytes.equals(BLOB.subarray(0, 10)));
      assert.deepEqual(start.heads, [{ totalBytes: BLOB.length, startBytes: 0, lengthBytes: 10 }]);
    });

    it('skips to the part wanted of a server without ranges', async () => {
      const server = await serve((_request, response) => answer(response, 200, BLOB));
      const sink = new RecordingSink();
      await client([server.host]).readRange(
        target(server),
        want(40_000, 20_000, BLOB.length),
        sink,
      );
      assert.ok(sink.bytes.equals(BLOB.subarray(40_000, 60_000)));
    });

    it('reads a small object that does not say how long it is', async () => {
      const server = await serve((_request, response) => void response.writeHead(200).end(BLOB));
      const sink = new RecordingSink();
      await client([server.host]).readRange(target(server), want(0, 200_000), sink);
      assert.deepEqual(sink.heads, [
        { totalBytes: BLOB.length, startBytes: 0, lengthBytes: BLOB.length },
      ]);
      assert.ok(sink.bytes.equals(BLOB));
      const start = new RecordingSink();
      await client([server.host]).readRange(target(server), want(0, 1_000), start);
      assert.deepEqual(start.heads, [
        { totalBytes: BLOB.length, startBytes: 0, lengthBytes: 1_000 },
      ]);
      assert.ok(start.bytes.equals(BLOB.subarray(0, 1_000)));
    });

    it('says what lies past the end, without asking where the size is known', async () => {
      const server = await serve(serveRanges(BLOB));
      const origin = client([server.host]);
      const error = await failure(
        origin.readRange(target(server), want(BLOB.length, 10), new RecordingSink()),
      );
      assert.deepEqual(
        [error.code, error.status, error.headers['content-range']],
        ['RANGE_NOT_SATISFIABLE', 416, `bytes */${BLOB.length}`],
      );
      await failure(
        origin.readRange(target(server), want(BLOB.length, 10, BLOB.length), new RecordingSink()),
      );
      assert.equal(server.seen.length, 1);
    });

    for (const status of [401, 403, 404, 429, 500, 503]) {
      it(`passes a ${status} on with challenge and body`, async () => {
        const server = await serve((_request, response) =>
          answer(response, status, '{"errors":[]}', {
            'www-authenticate': 'Bearer realm="r"',
            'retry-after': '7',
            'content-type': 'application/json',
            'set-cookie': 'a=b',
          }),
        );
        const error = await failure(
          client([server.host]).readRange(target(server), want(0, 10), new RecordingSink()),
        );
        assert.deepEqual(
          [error.code, error.status, error.body],
          ['ORIGIN_REFUSED', status, '{"errors":[]}'],
        );
        assert.deepEqual(error.headers, {
          'www-authenticate': 'Bearer realm="r"',
          'retry-after': '7',
          'content-type': 'application/json',
        });
      });
    }

    it('cuts a long refusal', async () => {
      const server = await serve((_request, response) =>
        answer(response, 403, 'x'.repeat(1_000_000)),
      );
      const error = await failure(
        client([server.host]).readRange(target(server), want(0, 10), new RecordingSink()),
      );
      assert.equal(error.body?.length, 64 * 1024);
    });

    it('stops when nobody wants the rest, also where nothing comes', async () => {
      const server = await serve((_request, response) => {
        response.writeHead(206, { 'content-length': '100', 'content-range': 'bytes 0-99/100' });
        response.write('x');
      });
      const sink = new RecordingSink();
      const reading = client([server.host]).readRange(target(server), want(0, 100), sink);
      sink.data = () => (sink.stop = true);
      assert.equal((await failure(reading)).code, 'CANCELLED');
    });

    it('throws what the sink threw', async () => {
      const server = await serve(serveRanges(BLOB));
      const sink = new RecordingSink();
      sink.head = () => {
        throw new ShoalError('CHECKSUM_MISMATCH', 'no');
      };
      assert.equal(
        (await failure(client([server.host]).readRange(target(server), want(0, 10), sink))).code,
        'CHECKSUM_MISMATCH',
      );
    });
  });

  describe('redirects', () => {
    async function registryBefore(
      store: OriginServer,
      location = () => `${store.url}/obj?Signature=abc`,
      status = 307,
    ): Promise<OriginServer> {
      return serve((_request, response) =>
        answer(response, status, 'see there', { location: location() }),
      );
    }

    it('follows to object storage without the credential, and remembers the way', async () => {
      const store = await serve(serveAsObjectStore(BLOB));
      const registry = await registryBefore(store);
      const origin = client([registry.host, store.host]);
      for (let shard = 0; shard < 4; shard++) {
        const sink = new RecordingSink();
        await origin.readRange(target(registry), want(shard * 25_000, 25_000, BLOB.length), sink);
        assert.ok(sink.bytes.equals(BLOB.subarray(shard * 25_000, (shard + 1) * 25_000)));
      }
      assert.equal(registry.seen.length, 1);
      assert.equal(store.seen.length, 4);
      assert.ok(
        store.seen.every(
          ({ headers, url }) => headers.authorization === undefined && url === '/obj?Signature=abc',
        ),
      );
      assert.equal(registry.connections, 1);
    });

    it('does not use for one credential what was learnt with another', async () => {
      const store = await serve(serveAsObjectStore(BLOB));
      const registry = await registryBefore(store);
      const origin = client([registry.host, store.host]);
      for (const authorization of ['Bearer a', 'Bearer b', undefined])
        await origin.readRange(
          { ...target(registry), ...{ authorization: authorization as string } },
          want(0, 10),
          new RecordingSink(),
        );
      assert.equal(registry.seen.length, 3);
    });

    it('asks the registry again after a minute', async () => {
      const clock = new ManualClock();
      const store = await serve(serveAsObjectStore(BLOB));
      const registry = await registryBefore(store);
      const origin = client([registry.host, store.host], {
        clock: { ...systemClock, nowMs: () => clock.nowMs() },
      });
      const read = () => origin.readRange(target(registry), want(0, 10), new RecordingSink());
      await read();
      clock.advance(59_000);
      await read();
      assert.equal(registry.seen.length, 1);
      clock.advance(1_001);
      await read();
      assert.equal(registry.seen.length, 2);
    });

    it('renews a signed URL that has expired half-way, once', async () => {
      let signature = 1;
      const store = await serve(
        serveAsObjectStore(BLOB, (request) => !request.url!.endsWith(`Signature=${signature}`)),
      );
      const registry = await registryBefore(store, () => `${store.url}/obj?Signature=${signature}`);
      const origin = client([registry.host, store.host]);
      await origin.readRange(target(registry), want(0, 10), new RecordingSink());
      signature = 2;
      const sink = new RecordingSink();
      await origin.readRange(target(registry), want(10, 10), sink);
      assert.ok(sink.bytes.equals(BLOB.subarray(10, 20)));
      assert.equal(registry.seen.length, 2);
      assert.equal(store.seen.length, 3);
      signature = -1;
      const broken = await registryBefore(store, () => `${store.url}/obj?Signature=0`);
      const error = await failure(
        client([broken.host, store.host]).readRange(
          target(broken),
          want(0, 10),
          new RecordingSink(),
        ),
      );
      assert.deepEqual([error.code, error.status], ['ORIGIN_REFUSED', 403]);
    });

    it("keeps the credential on the registry's own host and port", async () => {
      const registry = await serve((request, response) =>
        request.url === '/blob'
          ? answer(response, 302, '', { location: '/elsewhere#part' })
          : serveRanges(BLOB)(request, response),
      );
      await client([registry.host]).readRange(target(registry), want(0, 10), new RecordingSink());
      assert.deepEqual(
        registry.seen.map(({ url, headers }) => [url, headers.authorization]),
        [
          ['/blob', AUTHORIZATION],
          ['/elsewhere', AUTHORIZATION],
        ],
      );
    });

    it('refuses a redirect to a host that is not listed, and to loopback behind a name', async () => {
      const store = await serve(serveRanges(BLOB));
      const registry = await registryBefore(store);
      assert.equal(
        (
          await failure(
            client([registry.host]).readRange(target(registry), want(0, 10), new RecordingSink()),
          )
        ).code,
        'HOST_NOT_ALLOWED',
      );
      const named = await registryBefore(store, () => `http://store.example:${store.port}/obj`);
      const origin = client([registry.host, named.host, '*.example'], {
        resolve: async () => ['127.0.0.1'],
      });
      assert.equal(
        (await failure(origin.readRange(target(named), want(0, 10), new RecordingSink()))).code,
        'HOST_NOT_ALLOWED',
      );
      assert.equal(store.seen.length, 0);
    });

    it('checks the address that is dialled: a name that turns into loopback gains nothing', async () => {
      const server = await serve(serveRanges(BLOB));
      const resolved: string[] = [];
      const origin = client(['rebind.example'], {
        resolve: async (name) => (resolved.push(name), ['10.0.0.1', '127.0.0.1']),
      });
      const error = await failure(
        origin.readRange(
          { url: `http://rebind.example:${server.port}/`, upstreamHost: 'rebind.example' },
          want(0, 10),
          new RecordingSink(),
        ),
      );
      assert.equal(error.code, 'HOST_NOT_ALLOWED');
      assert.deepEqual([resolved, server.seen.length], [['rebind.example'], 0]);
    });

    it('dials a name that was checked', async () => {
      const server = await serve(serveRanges(BLOB));
      const sink = new RecordingSink();
      const origin = client(['named.example', '127.0.0.1'], { resolve: async () => ['127.0.0.1'] });
      await origin.readRange(
        { url: `http://named.example:${server.port}/`, upstreamHost: 'named.example' },
        want(0, 10),
        sink,
      );
      assert.equal(server.seen[0]!.headers.host, `named.example:${server.port}`);
    });

    it('gives up on endless redirects and on a Location that is no URL', async () => {
      const loop = await registryBefore(null as unknown as OriginServer, () => '/again');
      assert.equal(
        (
          await failure(
            client([loop.host]).readRange(target(loop), want(0, 10), new RecordingSink()),
          )
        ).code,
        'ORIGIN_BROKEN',
      );
      assert.equal(loop.seen.length, ORIGIN_REDIRECTS_MAX + 1);
      const odd = await registryBefore(null as unknown as OriginServer, () => 'ftp://x/');
      assert.equal(
        (await failure(client([odd.host]).readRange(target(odd), want(0, 10), new RecordingSink())))
          .code,
        'ORIGIN_BROKEN',
      );
    });
  });

  describe('probe', () => {
    it('gets one byte, and the size', async () => {
      const server = await serve(serveAsObjectStore(BLOB));
      assert.deepEqual(await client([server.host]).probe(target(server)), {
        totalBytes: BLOB.length,
        ranges: 'parts',
      });
      assert.equal(server.seen[0]!.method, 'GET');
      assert.equal(server.seen[0]!.headers.range, 'bytes=0-0');
    });

    it('leaves the rest of a whole object, and counts an empty one as open', async () => {
      const server = await serve((_request, response) => answer(response, 200, BLOB));
      assert.deepEqual(await client([server.host]).probe(target(server)), {
        totalBytes: BLOB.length,
        ranges: 'whole',
      });
      const empty = await serve(serveRanges(Buffer.alloc(0)));
      assert.deepEqual(await client([empty.host]).probe(target(empty)), {
        totalBytes: 0,
        ranges: 'unknown',
      });
    });

    it('proves the right also where the origin does not tell the size', async () => {
      const server = await serve((_request, response) => void response.writeHead(200).end(BLOB));
      assert.deepEqual(await client([server.host]).probe(target(server)), {
        totalBytes: null,
        ranges: 'whole',
      });
    });

    it('asks the registry each time, whatever was learnt before', async () => {
      const store = await serve(serveAsObjectStore(BLOB));
      let open = true;
      const registry = await serve((_request, response) =>
        open
          ? answer(response, 307, '', { location: `${store.url}/o` })
          : answer(response, 401, 'no'),
      );
      const origin = client([registry.host, store.host]);
      await origin.readRange(target(registry), want(0, 10), new RecordingSink());
      await origin.probe(target(registry));
      open = false;
      assert.equal((await failure(origin.probe(target(registry)))).status, 401);
      assert.equal(registry.seen.length, 3);
    });
  });

  describe('relay', () => {
    const relay = (
      server: OriginServer,
      origin: OriginClient,
      headers: Record<string, string> = {},
      method = 'GET',
    ) =>
      origin.relay({
        method,
        url: `${server.url}/v2/a/manifests/v1?x=%2F`,
        upstreamHost: server.host,
        headers,
      });

    it('passes Accept and Authorization up, and status, body and the listed headers down', async () => {
      const headers = {
        'content-type': 'application/vnd.oci.image.index.v1+json',
        'docker-content-digest': 'sha256:0',
        link: '</v2/x>; rel="next"',
        etag: '"e"',
        warning: '299 - "old"',
        'oci-filters-applied': 'artifactType',
        'set-cookie': 'secret=1',
        'x-other': 'y',
      };
      const server = await serve((_request, response) => answer(response, 200, '{}', headers));
      const got = await relay(server, client([server.host]), {
        accept: 'a/b, c/d',
        authorization: AUTHORIZATION,
        cookie: 'x',
        'x-forwarded-for': 'y',
      });
      assert.equal(got.status, 200);
      assert.equal(Buffer.from(got.body).toString(), '{}');
      assert.equal(got.body.byteLength, got.body.buffer.byteLength, 'the body owns its buffer');
      const { 'set-cookie': _cookie, 'x-other': _other, ...passed } = headers;
      assert.deepEqual(got.headers, { ...passed, 'content-length': '2' });
      const asked = server.seen[0]!;
      assert.deepEqual(
        [
          asked.url,
          asked.headers.accept,
          asked.headers.authorization,
          asked.headers.cookie,
          asked.headers['x-forwarded-for'],
        ],
        ['/v2/a/manifests/v1?x=%2F', 'a/b, c/d', AUTHORIZATION, undefined, undefined],
      );
    });

    for (const status of [304, 401, 404, 429, 500]) {
      it(`passes a ${status} through as an answer`, async () => {
        const server = await serve(
          (_request, response) =>
            void response
              .writeHead(status, { 'www-authenticate': 'Bearer realm="r"', 'retry-after': '3' })
              .end(),
        );
        const got = await relay(server, client([server.host]));
        assert.deepEqual(
          [got.status, got.headers['www-authenticate'], got.headers['retry-after']],
          [status, 'Bearer realm="r"', '3'],
        );
      });
    }

    it('keeps several challenges apart: clients read the first of a line only', async () => {
      const challenges = ['Basic realm="a"', 'Bearer realm="https://t/",service="r"'];
      const server = await serve(
        (_request, response) =>
          void response.writeHead(401, { 'www-authenticate': challenges }).end(),
      );
      assert.equal(
        (await relay(server, client([server.host]))).headers['www-authenticate'],
        challenges.join('\n'),
      );
      assert.equal(
        (await failure(client([server.host]).probe(target(server)))).headers['www-authenticate'],
        challenges.join('\n'),
      );
    });

    it('passes HEAD as HEAD, with the length GET would bring', async () => {
      const server = await serve((_request, response) => answer(response, 200, 'four'));
      const got = await relay(server, client([server.host]), {}, 'HEAD');
      assert.deepEqual(
        [server.seen[0]!.method, got.headers['content-length'], got.body.length],
        ['HEAD', '4', 0],
      );
    });

    it('follows redirects inside, the credential staying behind', async () => {
      const other = await serve((_request, response) => answer(response, 200, 'there'));
      const server = await serve((_request, response) =>
        answer(response, 307, '', { location: `${other.url}/m` }),
      );
      const got = await relay(server, client([server.host, other.host]), {
        authorization: AUTHORIZATION,
        accept: 'a/b',
      });
      assert.equal(Buffer.from(got.body).toString(), 'there');
      assert.deepEqual(
        [other.seen[0]!.headers.authorization, other.seen[0]!.headers.accept],
        [undefined, 'a/b'],
      );
    });

    it('does not take a registry for down because of a header that cannot be sent', async () => {
      const server = await serve((_request, response) => answer(response, 200, '{}'));
      const error = await failure(relay(server, client([server.host]), { 'user-agent': 'x\x7f' }));
      assert.deepEqual([error.code, error.status, server.seen.length], ['BAD_REQUEST', 400, 0]);
    });

    it('refuses what is too long or encoded', async () => {
      const long = await serve(
        (_request, response) => void response.writeHead(200).end(Buffer.alloc(17 * 1024 * 1024)),
      );
      assert.equal((await failure(relay(long, client([long.host])))).code, 'ORIGIN_BROKEN');
      const encoded = await serve((_request, response) =>
        answer(response, 200, 'xx', { 'content-encoding': 'gzip' }),
      );
      assert.equal((await failure(relay(encoded, client([encoded.host])))).code, 'ORIGIN_BROKEN');
    });
  });
});
