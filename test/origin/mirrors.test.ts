import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { ManualClock } from '../../lib/clock.ts';
import { OriginClient, type OriginTools } from '../../lib/origin/client.ts';
import { MIRROR_RETURN_MS } from '../../lib/origin/limits.ts';
import { Mirrors } from '../../lib/origin/mirrors.ts';
import { originsOf } from '../../lib/registry/allow.ts';
import { mirrorStates } from '../../lib/registry/mirror-view.ts';
import { failure, OriginBench, want } from './origin-bench.ts';
import { answer, pattern, RecordingSink, serveRanges, type OriginServer } from './origin-server.ts';

const BLOB = pattern(100_000);
const AUTHORIZATION = 'Bearer hunter2';
/** Nothing listens there. */
const DEAD = 'http://127.0.0.1:1';

describe('mirrors of a registry', () => {
  const bench = new OriginBench();
  const clients: OriginClient[] = [];
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

  const registry = (listener: RequestListener): Promise<OriginServer> =>
    bench.serve((request, response) => {
      if (request.url === '/v2/') answer(response, 200, '{}');
      else listener(request, response);
    });
  function clientOf(upstream: string, upstreams: string[], tools: OriginTools = {}): OriginClient {
    const client = new OriginClient({ allow: [], registries: [{ upstream, upstreams }] }, tools);
    clients.push(client);
    return client;
  }
  async function read(client: OriginClient, upstream: string): Promise<Buffer> {
    const sink = new RecordingSink();
    const target = {
      url: `${upstream}/v2/a/blobs/b`,
      upstreamHost: upstream,
      authorization: AUTHORIZATION,
    };
    await client.readRange(target, want(0, 1_000, BLOB.length), sink);
    return sink.bytes;
  }
  /** What was asked of a server, but its pings. */
  const asked = (server: OriginServer) => server.seen.filter(({ url }) => url !== '/v2/');

  it('come after the upstream, or in the order of a list that names it', () => {
    assert.deepEqual(originsOf({ upstream: 'a', upstreams: ['b', 'c'] }), ['a', 'b', 'c']);
    assert.deepEqual(originsOf({ upstream: 'a', upstreams: ['b', 'a'] }), ['b', 'a']);
  });

  it('serve when the upstream cannot be reached, with the credential of the client', async () => {
    const mirror = await registry(serveRanges(BLOB));
    const client = clientOf(DEAD, [mirror.url]);
    for (let reads = 0; reads < 2; reads++)
      assert.ok((await read(client, DEAD)).equals(BLOB.subarray(0, 1_000)));
    assert.deepEqual(
      asked(mirror).map(({ url, headers }) => [url, headers.authorization]),
      [
        ['/v2/a/blobs/b', AUTHORIZATION],
        ['/v2/a/blobs/b', AUTHORIZATION],
      ],
    );
  });

  it('have the repositories under a name, and links to further pages without it', async () => {
    const cache = await registry((request, response) => {
      if (!request.url!.startsWith('/v2/hub-proxy/')) return answer(response, 404);
      if (request.url!.includes('/blobs/')) return serveRanges(BLOB)(request, response);
      const { host } = request.headers;
      answer(response, 200, '{}', {
        link: request.url!.includes('absolute')
          ? `<http://${host}/v2/hub-proxy/a/tags/list?last=1>; rel="next"`
          : '</v2/hub-proxy/a/tags/list?last=1>; rel="next"',
      });
    });
    const client = clientOf(DEAD, [`${cache.url}/v2/hub-proxy`, DEAD]);
    assert.ok((await read(client, DEAD)).equals(BLOB.subarray(0, 1_000)));
    for (const [tags, at] of [
      ['relative', ''],
      ['absolute', DEAD],
    ] as const) {
      const url = `${DEAD}/v2/a/tags/list?${tags}`;
      const { headers } = await client.relay({
        method: 'GET',
        url,
        upstreamHost: '127.0.0.1:1',
        headers: {},
      });
      assert.equal(headers['link'], `<${at}/v2/a/tags/list?last=1>; rel="next"`);
    }
    assert.equal(await client.ping(DEAD), 200);
  });

  it('serve when the upstream answers 5xx; it stays first while it answers pings', async () => {
    let isBroken = true;
    const first = await registry((request, response) => {
      if (isBroken) answer(response, 502);
      else serveRanges(BLOB)(request, response);
    });
    const mirror = await registry(serveRanges(BLOB));
    const client = clientOf(first.url, [mirror.url]);
    assert.ok((await read(client, first.url)).equals(BLOB.subarray(0, 1_000)));
    assert.deepEqual([asked(first).length, asked(mirror).length], [1, 1]);
    isBroken = false;
    await read(client, first.url);
    assert.deepEqual([asked(first).length, asked(mirror).length], [2, 1]);
  });

  it('serve when the upstream is silent, within the time of one request', async () => {
    const silent = await bench.serve(() => undefined);
    const mirror = await registry(serveRanges(BLOB));
    const client = clientOf(silent.url, [mirror.url], {
      headTimeoutMs: 60_000,
      answerDeadlineMs: 2_000,
    });
    const startMs = performance.now();
    await read(client, silent.url);
    assert.ok(performance.now() - startMs < 2_000);
    await read(client, silent.url);
    assert.equal(asked(silent).length, 1, 'it is left out for now');
  });

  for (const status of [401, 403, 404, 429])
    it(`are not asked where the upstream answers ${status}`, async () => {
      const first = await registry((_request, response) => answer(response, status));
      const mirror = await registry(serveRanges(BLOB));
      const error = await failure(read(clientOf(first.url, [mirror.url]), first.url));
      assert.equal(error.status, status);
      assert.equal(mirror.seen.length, 0);
    });

  it('give their own answer when they are the last', async () => {
    const mirror = await registry((_request, response) => answer(response, 503, 'busy'));
    const error = await failure(read(clientOf(DEAD, [mirror.url]), DEAD));
    assert.deepEqual([error.status, error.body], [503, 'busy']);
  });

  it("keep the registry's name in links to further pages", async () => {
    const mirror = await registry((_request, response) =>
      answer(response, 200, '{}', { link: `<${mirror.url}/v2/a/tags/list?last=x>; rel="next"` }),
    );
    const { headers } = await clientOf(DEAD, [mirror.url]).relay({
      method: 'GET',
      url: `${DEAD}/v2/a/tags/list`,
      upstreamHost: DEAD,
      headers: {},
    });
    assert.equal(headers['link'], `<${DEAD}/v2/a/tags/list?last=x>; rel="next"`);
  });

  it('keep a registry up: it is down when none of them answers', async () => {
    const mirror = await registry(serveRanges(BLOB));
    assert.equal(await clientOf(DEAD, [mirror.url]).ping(DEAD), 200);
    assert.equal(await clientOf(DEAD, ['http://127.0.0.1:2']).ping(DEAD), null);
  });

  it('are left when the upstream answers again, after a while', async () => {
    const clock = new ManualClock();
    const registries = [{ upstream: 'a', upstreams: ['b'] }];
    const states = mirrorStates(registries);
    let status: number | null = null;
    const pinged: string[] = [];
    const ping = async (origin: string): Promise<number | null> => {
      pinged.push(origin);
      return status;
    };
    const mirrors = new Mirrors(registries, states, { clock, ping });
    /** Of another thread. */
    const other = new Mirrors(registries, states, { clock, ping });
    mirrors.failed('a', 'a', 'silent');
    assert.deepEqual(mirrors.inOrder('a'), ['b']);
    assert.deepEqual(other.inOrder('a'), ['b']);
    assert.equal(other.answering('a'), 'b');
    clock.advance(MIRROR_RETURN_MS - 1);
    mirrors.inOrder('a');
    assert.deepEqual(pinged, []);
    clock.advance(1);
    mirrors.inOrder('a');
    await Promise.resolve();
    assert.deepEqual(pinged, ['a']);
    assert.deepEqual(mirrors.inOrder('a'), ['b']);
    status = 401;
    clock.advance(MIRROR_RETURN_MS);
    mirrors.inOrder('a');
    for (let turns = 0; turns < 5; turns++) await Promise.resolve();
    assert.deepEqual(mirrors.inOrder('a'), ['a', 'b']);
    assert.equal(other.answering('a'), 'a');
  });
});
