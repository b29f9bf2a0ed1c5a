import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { OriginClient } from '../../lib/origin/client.ts';
import type { HeadFact } from '../../lib/origin/range-asker.ts';
import { WholeOnly } from '../../lib/origin/range-reader.ts';
import { OriginServer, pattern, RecordingSink, serveRanges } from './origin-server.ts';

const BLOB = pattern(3_000_000);
const PART_BYTES = 500_000;
const PARTS = BLOB.length / PART_BYTES;

type Respond = (response: ServerResponse, request: IncomingMessage) => void;
const whole: Respond = (response) =>
  void response.writeHead(200, { 'content-length': BLOB.length }).end(BLOB);
const chunked: Respond = (response) => void response.writeHead(200).end(BLOB);
const refuse =
  (status: number, headers = {}): Respond =>
  (response) =>
    void response.writeHead(status, { 'content-length': 2, ...headers }).end('no');

describe('origin: objects that are not served in parts', () => {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  /** A server that treats requests with Range and without in two ways, and a client of it. */
  async function serve(ranged: Respond, plain: Respond = whole) {
    const listener: RequestListener = (request, response) =>
      (request.headers.range === undefined ? plain : ranged)(response, request);
    const server = await OriginServer.start(listener);
    const client = new OriginClient({ allow: [server.host], registries: [] });
    stops.push(
      () => server.stop(),
      () => client.close(),
    );
    const facts: HeadFact[] = [];
    const read = async (
      part: number,
      options: Parameters<OriginClient['readRange']>[3] = {},
      totalBytes: number | null = null,
      said: { saidBytes?: number } = {},
    ): Promise<void> => {
      const sink = new RecordingSink();
      const offsetBytes = part * PART_BYTES;
      await client.readRange(
        {
          url: `${server.url}/blob?sig=1`,
          upstreamHost: server.host,
          authorization: null,
          ...said,
        },
        { offsetBytes, lengthBytes: PART_BYTES, totalBytes },
        sink,
        { learned: (fact) => facts.push(fact), ...options },
      );
      assert.deepEqual(sink.heads, [
        { totalBytes: BLOB.length, startBytes: offsetBytes, lengthBytes: PART_BYTES },
      ]);
      assert.ok(sink.bytes.equals(BLOB.subarray(offsetBytes, offsetBytes + PART_BYTES)));
    };
    return { server, client, facts, read };
  }

  it('tells a refused range from a refused client when it may not stream the whole', async () => {
    for (const status of [400, 402, 403, 405, 409, 410, 416, 421, 451, 503]) {
      const ranged = await serve(refuse(status), whole);
      await assert.rejects(ranged.read(0, { mayStream: false }), WholeOnly);
      const refused = await serve(refuse(status), refuse(status));
      await assert.rejects(refused.read(0, { mayStream: false }), { status });
    }
  });

  const kinds: [string, Respond, Respond, number][] = [
    ['200 to a Range', whole, whole, 1],
    ['200 without a length', chunked, chunked, 1],
    ...[300, 400, 402, 403, 405, 409, 410, 416, 451, 500, 503].map(
      (status): [string, Respond, Respond, number] => [
        `${status} to a Range`,
        refuse(status),
        whole,
        2,
      ],
    ),
    [
      'a 206 that does not say which bytes it holds',
      (response) => void response.writeHead(206).end(BLOB.subarray(0, PART_BYTES)),
      whole,
      2,
    ],
  ];
  for (const [what, ranged, plain, requests] of kinds)
    it(`reads all of an object from one answer: ${what}`, async () => {
      const { server, facts, read } = await serve(ranged, plain);
      for (let part = 0; part < PARTS; part++) await read(part);
      assert.equal(server.seen.length, requests);
      assert.equal(facts[0]!.ranges, 'whole');
    });

  it('shares one answer between reads at the same time', async () => {
    const { server, read } = await serve(whole);
    const first = read(0);
    await read(1, { ranges: 'whole' }, BLOB.length).catch(assert.fail);
    await first;
    await Promise.all([read(2), read(3), read(4), read(5)]);
    assert.ok(server.seen.length <= 2, `${server.seen.length} requests`);
  });

  it('asks without Range where the whole is all there is', async () => {
    const { server, read } = await serve(whole);
    await read(0, { ranges: 'whole' });
    assert.equal(server.seen[0]!.headers.range, undefined);
  });

  it('sends bytes of unknown length as they come, if a manifest has said the size', async () => {
    const rest = Promise.withResolvers<void>();
    const { read } = await serve((response) => {
      response.writeHead(200).write(BLOB.subarray(0, PART_BYTES));
      void rest.promise.then(() => response.end(BLOB.subarray(PART_BYTES)));
    });
    await read(0, {}, null, { saidBytes: BLOB.length });
    rest.resolve();
    for (let part = 1; part < PARTS; part++) await read(part);
  });

  it('uses parts of an object of unknown size, if a manifest has said it', async () => {
    const { server, read } = await serve((response, { headers }) => {
      const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range!)!.map(Number);
      response.writeHead(206, { 'content-range': `bytes ${from}-${last}/*` });
      response.end(BLOB.subarray(from, last! + 1));
    }, refuse(500));
    for (let part = 0; part < PARTS; part++) await read(part, {}, null, { saidBytes: BLOB.length });
    assert.equal(server.seen.length, PARTS);
  });

  it('believes what the origin says of the size, not the manifest', async () => {
    const { read } = await serve(whole);
    await read(0, {}, null, { saidBytes: 17 });
  });

  it('fails if a body without a length does not have the size that a manifest said', async () => {
    for (const saidBytes of [17, BLOB.length + 1]) {
      const { server, client } = await serve(chunked);
      const target = { url: server.url, upstreamHost: server.host, authorization: null, saidBytes };
      const want = { offsetBytes: 0, lengthBytes: BLOB.length + 2, totalBytes: null };
      await assert.rejects(client.readRange(target, want, new RecordingSink()), {
        code: 'ORIGIN_BROKEN',
      });
    }
  });

  it('says so, and takes nothing, where the read may not become a stream', async () => {
    for (const ranged of [whole, refuse(400)]) {
      const { read } = await serve(ranged);
      await assert.rejects(read(2, { mayStream: false }), WholeOnly);
    }
  });

  it('asks without Range if the connection is lost over each Range', async () => {
    const { read, facts } = await serve((response) => void response.socket!.destroy());
    for (let part = 0; part < PARTS; part++) await read(part);
    assert.equal(facts[0]!.ranges, 'whole');
    const { read: readPart } = await serve((response) => void response.socket!.destroy());
    await assert.rejects(readPart(1, { ranges: 'parts' }), { code: 'ORIGIN_UNREACHABLE' });
  });

  it('asks without Range if ranges were served before and are refused now', async () => {
    for (const status of [400, 405, 416]) {
      const { read } = await serve(refuse(status));
      await read(1, { ranges: 'parts' }, BLOB.length);
      await read(2);
    }
  });

  it('takes an error of the server for what it is where the origin serves ranges', async () => {
    const { server, read } = await serve(refuse(503));
    await assert.rejects(read(1, { ranges: 'parts' }), { code: 'ORIGIN_REFUSED', status: 503 });
    assert.equal(server.seen.length, 1);
  });

  for (const status of [401, 404, 407, 429])
    it(`passes ${status} on, which is not about ranges`, async () => {
      const { server, read } = await serve(refuse(status));
      await assert.rejects(read(0), { code: 'ORIGIN_REFUSED', status });
      assert.equal(server.seen.length, 1);
    });

  it('goes on from a part that is shorter than asked for', async () => {
    const { server, read } = await serve((response, request) => {
      const [, from = '0'] = /(\d+)-/.exec(request.headers.range!) ?? [];
      const part = BLOB.subarray(Number(from), Number(from) + 130_000);
      response
        .writeHead(206, {
          'content-length': part.length,
          'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${BLOB.length}`,
        })
        .end(part);
    });
    await read(1);
    assert.equal(server.seen.length, 4);
  });

  it('holds one long answer open for reads to come', async () => {
    const { server, client, read } = await serve((response, request) =>
      serveRanges(BLOB)(request, response),
    );
    await read(0);
    const target = {
      url: `${server.url}/blob?sig=1`,
      upstreamHost: server.host,
      authorization: null,
    };
    const held = { fromBytes: PART_BYTES, totalBytes: BLOB.length };
    assert.equal(await client.hold(target, held), true);
    const asked = server.seen.length;
    assert.equal(server.seen.at(-1)!.headers.range, `bytes=${PART_BYTES}-`);
    for (let part = 1; part < PARTS; part++) await read(part);
    assert.equal(server.seen.length, asked);
  });

  it('checks the right with HEAD where a GET would begin the whole object', async () => {
    const { server, client } = await serve(whole);
    const target = { url: `${server.url}/blob`, upstreamHost: server.host, authorization: null };
    assert.deepEqual(await client.probe(target, { ranges: 'whole' }), {
      totalBytes: BLOB.length,
      ranges: 'unknown',
    });
    assert.deepEqual(
      server.seen.map(({ method }) => method),
      ['HEAD'],
    );
  });

  it('checks the right with GET where a HEAD waits for the whole object', async () => {
    const { server, client } = await serve(whole, (response, request) => {
      if (request.method !== 'HEAD') whole(response, request);
    });
    const target = { url: `${server.url}/blob`, upstreamHost: server.host, authorization: null };
    const { totalBytes } = await client.probe(target, { ranges: 'whole' });
    assert.equal(totalBytes, BLOB.length);
    assert.deepEqual(
      server.seen.map(({ method }) => method),
      ['HEAD', 'GET'],
    );
  });
});
