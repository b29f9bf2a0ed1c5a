import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { issueCertificate } from '../origin/certificate.ts';
import { ShoalError } from '../../lib/errors.ts';
import { ORIGIN_HEAD_BYTES_MAX } from '../../lib/origin/limits.ts';
import { OriginClient, type OriginTools } from '../../lib/origin/client.ts';
import {
  answer,
  OriginServer,
  pattern,
  RecordingSink,
  serveRanges,
  socketOf,
} from '../origin/origin-server.ts';

const BLOB = pattern(100_000);
const PATIENCE: OriginTools = {
  connectTimeoutMs: 1_000,
  headTimeoutMs: 300,
  silenceMs: 300,
  answerDeadlineMs: 2_000,
};
/** Far more than PATIENCE, far less than forever. */
const BOUND_MS = 5_000;

describe('fault: origin', () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  async function serve(listener: RequestListener): Promise<OriginServer> {
    const server = await OriginServer.start(listener);
    stops.push(() => server.stop());
    return server;
  }

  /** A server of raw bytes: what `talk` does with each connection. */
  async function serveRaw(talk: (socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      talk(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function client(host: string, tools: OriginTools = {}): OriginClient {
    const origin = new OriginClient({ allow: [host], registries: [] }, { ...PATIENCE, ...tools });
    stops.push(() => origin.close());
    return origin;
  }

  async function read(
    host: string,
    tools: OriginTools = {},
    scheme = 'http',
  ): Promise<{ code: string; sink: RecordingSink }> {
    const sink = new RecordingSink();
    const startMs = performance.now();
    const target = {
      url: `${scheme}://${host}/blob?Signature=hunter2`,
      upstreamHost: host,
      authorization: 'Bearer hunter2',
    };
    const code = await client(host, tools)
      .readRange(target, { offsetBytes: 0, lengthBytes: 50_000, totalBytes: null }, sink)
      .then(
        () => 'done',
        (thrown: unknown) => {
          assert.ok(thrown instanceof ShoalError, String(thrown));
          assert.ok(!thrown.message.includes('hunter2'), thrown.message);
          return thrown.code;
        },
      );
    assert.ok(performance.now() - startMs < BOUND_MS);
    return { code, sink };
  }

  const PARTIAL = { 'content-length': '50000', 'content-range': `bytes 0-49999/${BLOB.length}` };

  it('unreachable if the port is closed', async () => {
    const server = await serve(serveRanges(BLOB));
    const { host } = server;
    await server.stop();
    assert.equal((await read(host)).code, 'ORIGIN_UNREACHABLE');
  });

  it('unreachable when the name is not known', async () => {
    const resolve = (): Promise<string[]> =>
      Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }));
    assert.equal((await read('nowhere.example:80', { resolve })).code, 'ORIGIN_UNREACHABLE');
  });

  it('a timeout if a connection is accepted but not answered', async () => {
    assert.equal((await read(await serveRaw(() => undefined))).code, 'ORIGIN_TIMEOUT');
  });

  it('a timeout when the head comes a byte at a time', async () => {
    const head = `HTTP/1.1 206 Partial Content\r\nX-Padding: ${'x'.repeat(500)}`;
    const host = await serveRaw((socket) => {
      let at = 0;
      const drip = setInterval(() => socket.write(head.charAt(at++ % head.length)), 20);
      socket.on('close', () => clearInterval(drip));
    });
    assert.equal((await read(host)).code, 'ORIGIN_TIMEOUT');
  });

  it('a timeout if the body stalls or is too slow; received bytes are kept', async () => {
    for (const drips of [false, true]) {
      const server = await serve((_request, response) => {
        response.writeHead(206, PARTIAL);
        response.write(BLOB.subarray(0, 20_000));
        const drip = setInterval(() => drips && response.write(Buffer.from([BLOB[20_000]!])), 50);
        response.on('close', () => clearInterval(drip));
      });
      const { code, sink } = await read(server.host);
      assert.equal(code, 'ORIGIN_TIMEOUT');
      assert.ok(sink.bytes.subarray(0, 20_000).equals(BLOB.subarray(0, 20_000)));
    }
  });

  it('a timeout over many hops, even if each hop is within its own', async () => {
    const server = await serve((request, response) => {
      const timer = setTimeout(
        () => answer(response, 307, '', { location: `${request.url}x` }),
        200,
      );
      response.on('close', () => clearTimeout(timer));
    });
    assert.equal((await read(server.host, { answerDeadlineMs: 500 })).code, 'ORIGIN_TIMEOUT');
    assert.ok(server.seen.length <= 4);
  });

  it('broken when the body is cut, by a reset or by an orderly end', async () => {
    for (const cut of ['reset', 'end'] as const) {
      const server = await serve((_request, response) => {
        response.writeHead(206, PARTIAL);
        response.write(BLOB.subarray(0, 20_000), () =>
          cut === 'reset' ? socketOf(response).resetAndDestroy() : socketOf(response).end(),
        );
      });
      const { code, sink } = await read(server.host);
      assert.equal(code, 'ORIGIN_BROKEN', cut);
      assert.ok(BLOB.subarray(0, sink.bytes.length).equals(sink.bytes));
      assert.equal(server.seen.length, 1, 'no silent repeat once bytes have been handed over');
    }
  });

  it('broken when a chunked body ends early', async () => {
    const server = await serve(
      (_request, response) =>
        void response
          .writeHead(206, { 'content-range': PARTIAL['content-range'] })
          .end(BLOB.subarray(0, 49_999)),
    );
    assert.equal((await read(server.host)).code, 'ORIGIN_BROKEN');
  });

  it('broken when more bytes arrive than announced', async () => {
    const server = await serve(
      (_request, response) =>
        void response
          .writeHead(206, { 'content-range': PARTIAL['content-range'] })
          .end(BLOB.subarray(0, 50_001)),
    );
    const { code, sink } = await read(server.host);
    assert.equal(code, 'ORIGIN_BROKEN');
    assert.ok(sink.bytes.length <= 50_000);
  });

  it('broken when the range is another, or the body is encoded', async () => {
    for (const headers of [
      { ...PARTIAL, 'content-range': `bytes 1-50000/${BLOB.length}` },
      { ...PARTIAL, 'content-encoding': 'gzip' },
    ]) {
      const server = await serve((_request, response) =>
        answer(response, 206, BLOB.subarray(0, 50_000), headers),
      );
      const { code, sink } = await read(server.host);
      assert.deepEqual([code, sink.bytes.length], ['ORIGIN_BROKEN', 0]);
    }
  });

  it('broken when the answer is not HTTP, or its head has no end', async () => {
    assert.equal(
      (await read(await serveRaw((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')))).code,
      'ORIGIN_BROKEN',
    );
    const endless = await serveRaw((socket) => {
      const line = `X-Padding: ${'x'.repeat(8_000)}\r\n`;
      socket.write('HTTP/1.1 200 OK\r\n' + line.repeat((2 * ORIGIN_HEAD_BYTES_MAX) / 8_000));
    });
    assert.equal((await read(endless)).code, 'ORIGIN_BROKEN');
  });

  it('retries once if an idle connection was closed', async () => {
    let resets = 0;
    const server = await serve((request, response) => {
      // The second request on a connection finds it gone, as after an idle timeout of the server.
      const socket = socketOf(response) as Socket & { used?: boolean };
      if (socket.used === true && resets++ === 0) socket.resetAndDestroy();
      else serveRanges(BLOB)(request, response);
      socket.used = true;
    });
    const origin = client(server.host);
    const target = { url: `${server.url}/blob`, upstreamHost: server.host, authorization: null };
    for (let at = 0; at < 6; at++) {
      const sink = new RecordingSink();
      await origin.readRange(target, { offsetBytes: at, lengthBytes: 10, totalBytes: null }, sink);
      assert.ok(sink.bytes.equals(BLOB.subarray(at, at + 10)));
    }
    assert.equal(resets > 0, true);
  });

  it('unreachable if the certificate is not trusted; read if it is', async () => {
    const { certPem, keyPem } = await issueCertificate('127.0.0.1');
    const server = createHttpsServer({ cert: certPem, key: keyPem }, serveRanges(BLOB));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    assert.equal((await read(host, {}, 'https')).code, 'ORIGIN_UNREACHABLE');
    const { code, sink } = await read(host, { ca: certPem }, 'https');
    assert.deepEqual([code, sink.bytes.length], ['done', 50_000]);
  });
});
