import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ShoalError } from '../../lib/errors.ts';
import { OriginClient, type OriginTools } from '../../lib/origin/client.ts';
import { issueCertificate } from './certificate.ts';
import { OriginServer, pattern, RecordingSink, serveRanges, socketOf } from './origin-server.ts';

const BLOB = pattern(3_000_000);
const PART_BYTES = 500_000;

/**
 * The second read of a blob and those after it go straight into place, when the first was answered
 * in the usual way.
 */
describe('registry/origin-direct', () => {
  const stops: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  async function serve(
    listener: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<OriginServer> {
    const server = await OriginServer.start(listener);
    stops.push(() => server.stop());
    return server;
  }

  function client(host: string, tools: OriginTools = {}): OriginClient {
    const origin = new OriginClient({ allow: [host], registries: [] }, tools);
    stops.push(() => origin.close());
    return origin;
  }

  /** Reads part `index`, and sees that exactly it came. */
  async function read(
    origin: OriginClient,
    host: string,
    index: number,
    scheme = 'http',
    authorization = 'Bearer hunter2',
    isPlain?: boolean,
  ): Promise<{ sink: RecordingSink; requests: number }> {
    const sink = new RecordingSink();
    const [offsetBytes, endBytes] = [index * PART_BYTES, (index + 1) * PART_BYTES];
    const { requests } = await origin.readRange(
      { url: `${scheme}://${host}/blob?Signature=x`, upstreamHost: host, authorization },
      { offsetBytes, lengthBytes: PART_BYTES, totalBytes: BLOB.length },
      sink,
      { ranges: 'parts', isPlain },
    );
    assert.ok(sink.bytes.equals(BLOB.subarray(offsetBytes, endBytes)), `part ${index}`);
    assert.deepEqual(sink.heads, [
      { totalBytes: BLOB.length, startBytes: offsetBytes, lengthBytes: PART_BYTES },
    ]);
    return { sink, requests };
  }

  const ranges = serveRanges(BLOB);

  it('writes from the second part on, with the credential, over one connection', async () => {
    const server = await serve(ranges);
    const origin = client(server.host);
    const placed: number[] = [];
    for (let part = 0; part < 6; part++)
      placed.push((await read(origin, server.host, part)).sink.placedBytes);
    assert.deepEqual(placed, [0, ...Array(5).fill(PART_BYTES)]);
    assert.equal(server.connections, 2);
    assert.ok(
      server.seen.every(
        ({ headers }) =>
          headers.authorization === 'Bearer hunter2' && headers['accept-encoding'] === 'identity',
      ),
    );
  });

  it('does so while the first answer is still arriving', async () => {
    const { promise: goesOn, resolve: goOn } = Promise.withResolvers<void>();
    const server = await serve((request, response) => {
      if (server.seen.length > 1) return ranges(request, response);
      const part = BLOB.subarray(0, PART_BYTES);
      response.writeHead(206, {
        'content-length': PART_BYTES,
        'content-range': `bytes 0-${PART_BYTES - 1}/${BLOB.length}`,
      });
      response.write(part.subarray(0, 1000));
      void goesOn.then(() => response.end(part.subarray(1000)));
    });
    const origin = client(server.host);
    const learned = Promise.withResolvers<void>();
    const first = new RecordingSink();
    const reading = origin.readRange(
      {
        url: `${server.url}/blob?Signature=x`,
        upstreamHost: server.host,
        authorization: 'Bearer hunter2',
      },
      { offsetBytes: 0, lengthBytes: PART_BYTES, totalBytes: BLOB.length },
      first,
      { ranges: 'parts', learned: () => learned.resolve() },
    );
    await learned.promise;
    assert.equal((await read(origin, server.host, 1)).sink.placedBytes, PART_BYTES);
    goOn();
    await reading;
    assert.ok(first.bytes.equals(BLOB.subarray(0, PART_BYTES)));
  });

  it('begins so where another thread has learned it, and stops where that is wrong', async () => {
    const server = await serve(ranges);
    const { sink } = await read(client(server.host), server.host, 0, 'http', 'Bearer x', true);
    assert.equal(sink.placedBytes, PART_BYTES);
    const chunked = await serve((request, response) => {
      const [, from = '', to = ''] = /bytes=(\d+)-(\d+)/.exec(request.headers.range!)!;
      response
        .writeHead(206, { 'content-range': `bytes ${from}-${to}/${BLOB.length}` })
        .end(BLOB.subarray(Number(from), Number(to) + 1));
    });
    const origin = client(chunked.host);
    for (const [part, requests] of [2, 1, 1].entries())
      assert.equal(
        (await read(origin, chunked.host, part, 'http', 'Bearer x', true)).requests,
        requests,
        `part ${part}`,
      );
  });

  it('reads many parts at once, each into its own place', async () => {
    const server = await serve(ranges);
    const origin = client(server.host);
    await read(origin, server.host, 0);
    const sinks = await Promise.all([1, 2, 3, 4, 5].map((part) => read(origin, server.host, part)));
    assert.ok(sinks.every(({ sink }) => sink.placedBytes === PART_BYTES));
  });

  it("does so over TLS, too, and trusts no certificate of somebody else's", async () => {
    const { certPem, keyPem } = await issueCertificate('127.0.0.1');
    const server = createTlsServer({ cert: certPem, key: keyPem }, ranges);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const origin = client(host, { ca: certPem });
    await read(origin, host, 0, 'https');
    for (const part of [1, 2])
      assert.equal((await read(origin, host, part, 'https')).sink.placedBytes, PART_BYTES);
    await assert.rejects(read(client(host), host, 0, 'https'), { code: 'ORIGIN_UNREACHABLE' });
  });

  const unusual: [string, (response: ServerResponse, part: Buffer, range: string) => void][] = [
    [
      'chunked',
      (response, part, range) => response.writeHead(206, { 'content-range': range }).end(part),
    ],
    [
      'a head longer than is taken',
      (response, part, range) =>
        response
          .writeHead(206, {
            'content-length': part.length,
            'content-range': range,
            'x-long': 'x'.repeat(10_000),
          })
          .end(part),
    ],
  ];
  for (const [what, respond] of unusual) {
    it(`reads ${what} as any other answer, at the cost of one request`, async () => {
      let isUnusual = false;
      const server = await serve((request, response) => {
        const [, from = 0, to = 0] = /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
        if (isUnusual)
          respond(
            response,
            BLOB.subarray(Number(from), Number(to) + 1),
            `bytes ${from}-${to}/${BLOB.length}`,
          );
        else ranges(request, response);
      });
      const origin = client(server.host);
      await read(origin, server.host, 1);
      isUnusual = true;
      const told: number[] = [];
      for (const part of [1, 2, 3]) {
        const { sink, requests } = await read(origin, server.host, part);
        assert.equal(sink.placedBytes, 0);
        told.push(requests);
      }
      assert.deepEqual(told, [2, 1, 1]);
    });
  }

  it('passes a refusal on, and goes on as before when it was one only', async () => {
    let refuses = false;
    const server = await serve((request, response) =>
      refuses
        ? response
            .writeHead(401, { 'www-authenticate': 'Bearer realm="r"', 'content-length': 2 })
            .end('no')
        : ranges(request, response),
    );
    const origin = client(server.host);
    await read(origin, server.host, 0);
    refuses = true;
    await assert.rejects(read(origin, server.host, 1), {
      code: 'ORIGIN_REFUSED',
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="r"' },
      body: 'no',
    });
    refuses = false;
    assert.equal((await read(origin, server.host, 1)).sink.placedBytes, PART_BYTES);
  });

  it('repeats a refused request once on a kept connection, not on a new one', async () => {
    // A refusal is an answer: the connection was not lost.
    let refuses = false;
    const server = await serve((request, response) =>
      refuses
        ? response.writeHead(503, { 'content-length': 2 }).end('no')
        : ranges(request, response),
    );
    const origin = client(server.host);
    for (const part of [0, 1]) await read(origin, server.host, part);
    refuses = true;
    await assert.rejects(read(origin, server.host, 2), { code: 'ORIGIN_REFUSED', status: 503 });
    assert.equal(server.seen.length, 2 + 2);
    refuses = false;
    assert.equal((await read(origin, server.host, 2)).sink.placedBytes, PART_BYTES);
  });

  it('takes a new connection when the kept one was closed meanwhile', async () => {
    const server = await serve(ranges);
    const origin = client(server.host);
    for (const part of [0, 1]) await read(origin, server.host, part);
    server.closeIdle();
    assert.equal((await read(origin, server.host, 2)).sink.placedBytes, PART_BYTES);
  });

  const broken: [string, string, (response: ServerResponse) => void][] = [
    [
      'another part',
      'ORIGIN_BROKEN',
      (response) =>
        response
          .writeHead(206, { 'content-length': 5, 'content-range': `bytes 0-4/${BLOB.length}` })
          .end('wrong'),
    ],
    [
      'another length',
      'ORIGIN_BROKEN',
      (response) =>
        response
          .writeHead(206, {
            'content-length': 5,
            'content-range': `bytes ${PART_BYTES}-${2 * PART_BYTES - 1}/${BLOB.length}`,
          })
          .end('wrong'),
    ],
    [
      'half of it',
      'ORIGIN_BROKEN',
      (response) => {
        response.writeHead(206, {
          'content-length': PART_BYTES,
          'content-range': `bytes ${PART_BYTES}-${2 * PART_BYTES - 1}/${BLOB.length}`,
        });
        response.write(BLOB.subarray(PART_BYTES, PART_BYTES + 1_000), () =>
          socketOf(response).destroy(),
        );
      },
    ],
    [
      'a part and then silence',
      'ORIGIN_TIMEOUT',
      (response) => {
        response.writeHead(206, {
          'content-length': PART_BYTES,
          'content-range': `bytes ${PART_BYTES}-${2 * PART_BYTES - 1}/${BLOB.length}`,
        });
        response.write(BLOB.subarray(PART_BYTES, PART_BYTES + 1_000));
      },
    ],
    ['nothing', 'ORIGIN_TIMEOUT', () => undefined],
  ];
  for (const [what, code, respond] of broken) {
    it(`says ${code} when the origin sends ${what}, and writes nothing afterwards`, async () => {
      let isBroken = false;
      const server = await serve((request, response) =>
        isBroken ? respond(response) : ranges(request, response),
      );
      const origin = client(server.host, { silenceMs: 400, headTimeoutMs: 400 });
      await read(origin, server.host, 0);
      isBroken = true;
      const sink = new RecordingSink();
      const thrown = await origin
        .readRange(
          {
            url: `${server.url}/blob?Signature=x`,
            upstreamHost: server.host,
            authorization: 'Bearer hunter2',
          },
          { offsetBytes: PART_BYTES, lengthBytes: PART_BYTES, totalBytes: BLOB.length },
          sink,
        )
        .then(
          () => assert.fail('should have failed'),
          (error: unknown) => error,
        );
      assert.ok(thrown instanceof ShoalError && thrown.code === code, String(thrown));
      assert.ok(!/hunter2|Signature/.test(thrown.message));
      const placedBytes = sink.placedBytes;
      isBroken = false;
      await read(origin, server.host, 2);
      assert.equal(sink.placedBytes, placedBytes);
    });
  }

  it('stops at once when nobody wants the rest', async () => {
    let isSlow = false;
    const server = await serve((request, response) => {
      if (!isSlow) return ranges(request, response);
      response.writeHead(206, {
        'content-length': PART_BYTES,
        'content-range': `bytes ${PART_BYTES}-${2 * PART_BYTES - 1}/${BLOB.length}`,
      });
      response.write(BLOB.subarray(PART_BYTES, PART_BYTES + 1_000));
    });
    const origin = client(server.host);
    await read(origin, server.host, 0);
    isSlow = true;
    const sink = new RecordingSink();
    const reading = origin.readRange(
      {
        url: `${server.url}/blob?Signature=x`,
        upstreamHost: server.host,
        authorization: 'Bearer hunter2',
      },
      { offsetBytes: PART_BYTES, lengthBytes: PART_BYTES, totalBytes: BLOB.length },
      sink,
    );
    sink.stop = true;
    await assert.rejects(reading, { code: 'CANCELLED' });
  });
});
