import assert from 'node:assert/strict';
import { ManualClock, systemClock } from '../../lib/clock.ts';
import { isSilentDns } from '../../lib/errors.ts';
import { ORIGIN_REDIRECTS_MAX } from '../../lib/origin/limits.ts';
import { AUTHORIZATION, failure, OriginBench, target, want } from './origin-bench.ts';
import {
  answer,
  type OriginServer,
  pattern,
  RecordingSink,
  serveAsObjectStore,
  serveRanges,
} from './origin-server.ts';

const BLOB = pattern(100_000);

describe('OriginClient: redirects', () => {
  const { serve, client } = new OriginBench();

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

  it('remembers a redirect only for the credential that got it', async () => {
    const store = await serve(serveAsObjectStore(BLOB));
    const registry = await registryBefore(store);
    const origin = client([registry.host, store.host]);
    for (const authorization of ['Bearer a', 'Bearer b', null])
      await origin.readRange(
        { ...target(registry), authorization },
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
      client([broken.host, store.host]).readRange(target(broken), want(0, 10), new RecordingSink()),
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

  it('checks the dialled address, so a name that resolves to loopback is refused', async () => {
    const server = await serve(serveRanges(BLOB));
    const resolved: string[] = [];
    const origin = client(['rebind.example'], {
      resolve: async (name) => (resolved.push(name), ['10.0.0.1', '127.0.0.1']),
    });
    const error = await failure(
      origin.readRange(
        {
          url: `http://rebind.example:${server.port}/`,
          upstreamHost: 'rebind.example',
          authorization: null,
        },
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
      {
        url: `http://named.example:${server.port}/`,
        upstreamHost: 'named.example',
        authorization: null,
      },
      want(0, 10),
      sink,
    );
    assert.equal(server.seen[0]!.headers.host, `named.example:${server.port}`);
  });

  it('says that it is the name servers which do not answer', async () => {
    const origin = client(['named.example'], {
      resolve: () => Promise.reject(Object.assign(new Error('late'), { code: 'ETIMEOUT' })),
    });
    const [url, upstreamHost] = ['http://named.example/', 'named.example'];
    const asked = { url, upstreamHost, authorization: null };
    const error = await failure(origin.readRange(asked, want(0, 10), new RecordingSink()));
    assert.match(error.message, /no DNS server answers/);
    assert.deepEqual([error.code, isSilentDns(error.toWire())], ['ORIGIN_UNREACHABLE', true]);
  });

  it('gives up on endless redirects and on a Location that is no URL', async () => {
    const loop = await registryBefore(null as unknown as OriginServer, () => '/again');
    assert.equal(
      (await failure(client([loop.host]).readRange(target(loop), want(0, 10), new RecordingSink())))
        .code,
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
