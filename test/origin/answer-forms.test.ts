import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { OriginClient, type OriginTools } from '../../lib/origin/client.ts';
import { answer, OriginServer, pattern, RecordingSink, serveRanges } from './origin-server.ts';

const BLOB = pattern(50_000);
const WANT = { offsetBytes: 0, lengthBytes: 1_000, totalBytes: null };

describe('origin: unusual answers', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  async function serve(listener: RequestListener): Promise<OriginServer> {
    const server = await OriginServer.start(listener);
    stops.push(() => server.stop());
    return server;
  }

  function client(hosts: string[], tools: OriginTools = {}): OriginClient {
    const made = new OriginClient({ allow: hosts, registries: [] }, tools);
    stops.push(() => made.close());
    return made;
  }

  it('skips interim answers that were not asked for', async () => {
    const bytes = BLOB.subarray(0, 1_000);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => {
        socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n');
        socket.write(
          'HTTP/1.1 206 OK\r\nContent-Length: 1000\r\nContent-Range: bytes 0-999/50000\r\n\r\n',
        );
        socket.write(bytes);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => server.close());
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const origin = client([host]);
    for (let read = 0; read < 2; read++) {
      const sink = new RecordingSink();
      await origin.readRange(
        { url: `http://${host}/b`, upstreamHost: host, authorization: null },
        WANT,
        sink,
      );
      assert.ok(sink.bytes.equals(bytes));
    }
  });

  it('asks a silent origin that is alive once more before it gives up', async () => {
    let requests = 0;
    const server = await serve((request, response) => {
      if (request.url === '/v2/') response.end('{}');
      else if (++requests > 1) serveRanges(BLOB)(request, response);
    });
    const origin = client([server.host], { headTimeoutMs: 300, answerDeadlineMs: 30_000 });
    const sink = new RecordingSink();
    await origin.readRange(
      { url: `${server.url}/b`, upstreamHost: server.host, authorization: null },
      WANT,
      sink,
    );
    assert.ok(sink.bytes.equals(BLOB.subarray(0, 1_000)));
  });

  it('does not wait again for an origin that shows no sign of life', async () => {
    const server = await serve(() => undefined);
    const origin = client([server.host], { headTimeoutMs: 300, answerDeadlineMs: 30_000 });
    await assert.rejects(
      origin.readRange(
        { url: `${server.url}/b`, upstreamHost: server.host, authorization: null },
        WANT,
        new RecordingSink(),
      ),
      { code: 'ORIGIN_TIMEOUT' },
    );
    assert.deepEqual(
      server.seen.map(({ url }) => url),
      ['/b', '/v2/'],
    );
  });

  for (const coding of ['aws-chunked', 'utf-8', 'gzip'])
    it(`ignores Content-Encoding ${coding} of content named by digest`, async () => {
      const server = await serve((request, response) => {
        response.setHeader('content-encoding', coding);
        serveRanges(BLOB)(request, response);
      });
      const sink = new RecordingSink();
      await client([server.host]).readRange(
        {
          url: `${server.url}/b`,
          upstreamHost: server.host,
          authorization: null,
          digest: `sha256:${'0'.repeat(64)}`,
        },
        WANT,
        sink,
      );
      assert.ok(sink.bytes.equals(BLOB.subarray(0, 1_000)));
    });

  for (const [what, coding, sent] of [
    ['compressed on the way', 'gzip', gzipSync(BLOB)],
    ['compressed twice', 'gzip, br', brotliCompressSync(gzipSync(BLOB))],
    ['stored with a coding that it does not have', 'gzip', BLOB],
  ] as const)
    for (const hasLength of [true, false])
      it(`reads a blob ${what}, ${hasLength ? 'with' : 'without'} a length`, async () => {
        const server = await serve((_request, response) => {
          response.writeHead(200, {
            'content-encoding': coding,
            ...(hasLength ? { 'content-length': sent.length } : {}),
          });
          response.end(sent);
        });
        const digest = `sha256:${createHash('sha256').update(BLOB).digest('hex')}`;
        const target = { url: `${server.url}/b`, upstreamHost: server.host, authorization: null };
        const origin = client([server.host]);
        for (const offsetBytes of [0, 1_000]) {
          const sink = new RecordingSink();
          await origin.readRange({ ...target, digest }, { ...WANT, offsetBytes }, sink);
          assert.ok(sink.bytes.equals(BLOB.subarray(offsetBytes, offsetBytes + WANT.lengthBytes)));
          assert.equal(sink.heads[0]!.totalBytes, BLOB.length);
        }
        assert.equal(server.seen.length, 1);
      });

  it('decodes a manifest that comes compressed, relayed or read', async () => {
    const manifest = '{"schemaVersion":2}';
    const server = await serve((_request, response) =>
      answer(response, 200, gzipSync(manifest), { 'content-encoding': 'gzip' }),
    );
    const origin = client([server.host]);
    const url = `${server.url}/v2/a/manifests/v1`;
    const relayed = await origin.relay({
      method: 'GET',
      url,
      upstreamHost: server.host,
      headers: {},
    });
    assert.equal(Buffer.from(relayed.body).toString(), manifest);
    assert.equal(relayed.headers['content-length'], String(manifest.length));
    const sink = new RecordingSink();
    const target = { url, upstreamHost: server.host, authorization: null, accept: 'a/b' };
    await origin.readRange(target, { ...WANT, lengthBytes: 2_000_000 }, sink);
    assert.equal(sink.bytes.toString(), manifest);
    assert.equal(server.seen[1]!.headers.range, undefined);
  });

  it('passes rate limits through', async () => {
    const limits = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '7' };
    const server = await serve((_request, response) => answer(response, 200, '{}', limits));
    const { headers } = await client([server.host]).relay({
      method: 'GET',
      url: `${server.url}/v2/`,
      upstreamHost: server.host,
      headers: {},
    });
    for (const [name, value] of Object.entries(limits)) assert.equal(headers[name], value);
  });

  it('sends the Referer of a redirect, without its query, also from memory', async () => {
    const store = await serve(serveRanges(BLOB));
    const registry = await serve((_request, response) =>
      answer(response, 307, '', { location: `${store.url}/o?sig=1` }),
    );
    const origin = client([registry.host, store.host]);
    const target = {
      url: `${registry.url}/b?sig=0`,
      upstreamHost: registry.host,
      authorization: null,
    };
    for (let read = 0; read < 2; read++) await origin.readRange(target, WANT, new RecordingSink());
    assert.deepEqual(
      store.seen.map(({ headers }) => headers.referer),
      [`${registry.url}/b`, `${registry.url}/b`],
    );
  });

  it('encodes what a URL cannot hold in a Location', async () => {
    const store = await serve(serveRanges(BLOB));
    const registry = await serve((_request, response) => {
      const location = Buffer.from(`${store.url}/ö b%2F?x=é`).toString('latin1');
      answer(response, 307, '', { location });
    });
    await client([registry.host, store.host]).readRange(
      { url: `${registry.url}/b`, upstreamHost: registry.host, authorization: null },
      WANT,
      new RecordingSink(),
    );
    assert.equal(store.seen[0]!.url, '/%C3%B6%20b%2F?x=%C3%A9');
  });

  it('uses the last good redirect when the registry no longer takes the credential', async () => {
    const store = await serve(serveRanges(BLOB));
    let isOpen = true;
    const registry = await serve((_request, response) =>
      isOpen
        ? answer(response, 307, '', { location: `${store.url}/o` })
        : answer(response, 401, 'no'),
    );
    let nowMs = 0;
    const clock = { wallMs: () => 0, nowMs: () => nowMs, after: systemAfter };
    const origin = client([registry.host, store.host], { clock, answerDeadlineMs: 1e9 });
    const target = {
      url: `${registry.url}/b`,
      upstreamHost: registry.host,
      authorization: 'Bearer t',
    };
    await origin.readRange(target, WANT, new RecordingSink());
    isOpen = false;
    nowMs = 61_000;
    await origin.readRange(target, WANT, new RecordingSink());
    await assert.rejects(origin.probe(target), { code: 'ORIGIN_REFUSED', status: 401 });
  });
});

function systemAfter(delayMs: number, fire: () => void): { cancel(): void } {
  const timer = setTimeout(fire, delayMs);
  return { cancel: () => clearTimeout(timer) };
}
