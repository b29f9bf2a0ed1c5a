import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { ADMISSION_BODY_BYTES_MAX } from '../../lib/webhook/limits.ts';
import {
  caBundle,
  renewedCertificates,
  type CertificateSet,
} from '../../lib/webhook/certificates.ts';
import { WebhookServer } from '../../lib/webhook/server.ts';

const NAMES = ['127.0.0.1', 'hook.test'];

describe("the webhook's server", () => {
  let set: CertificateSet;
  let server: WebhookServer;
  let reason: string | null;
  const asked: unknown[] = [];

  before(async () => {
    set = await renewedCertificates(null, NAMES, Date.now());
  });
  beforeEach(async () => {
    reason = null;
    asked.length = 0;
    const answer = (body: unknown, entry: string): Promise<object> => {
      asked.push([entry, body]);
      return Promise.resolve({ entry });
    };
    server = new WebhookServer({ host: '127.0.0.1', port: 0, answer, notReady: () => reason });
    await server.use(set.leaf);
  });
  afterEach(() => server.close());

  const call = async (
    method: string,
    path: string,
    body?: string | Buffer,
    trusted = set,
  ): Promise<{ status: number; text: string; serial: string }> => {
    const sent = request({
      host: '127.0.0.1',
      port: server.port!,
      path,
      method,
      ca: caBundle(trusted),
      agent: false,
      servername: 'hook.test',
    }).end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return { status: response.statusCode!, text, serial: serialNumber };
  };

  it('accepts reviews on both paths', async () => {
    assert.deepEqual(JSON.parse((await call('POST', '/mutate/pod?timeout=5s', '{"a":1}')).text), {
      entry: 'pod',
    });
    assert.deepEqual(JSON.parse((await call('POST', '/mutate/namespace', '{}')).text), {
      entry: 'namespace',
    });
    assert.deepEqual(asked, [
      ['pod', { a: 1 }],
      ['namespace', {}],
    ]);
  });

  for (const body of ['', 'no json', '{"a":', '\u0000\u0001', '[]']) {
    it(`hands ${JSON.stringify(body)} on for an answer, with status 200`, async () =>
      assert.equal((await call('POST', '/mutate/pod', body)).status, 200));
  }

  it('bounds the body of a request', async () => {
    await assert.rejects(
      call('POST', '/mutate/pod', Buffer.alloc(ADMISSION_BODY_BYTES_MAX + 1_000, 32)),
    );
    assert.equal(asked.length, 0);
    assert.equal((await call('GET', '/healthz')).status, 200, 'and goes on');
    assert.equal(
      (await call('POST', '/mutate/pod', JSON.stringify({ big: 'x'.repeat(3 * 1024 * 1024) })))
        .status,
      200,
    );
  });

  it('reports health and readiness with a reason', async () => {
    assert.equal((await call('GET', '/readyz')).status, 200);
    reason = 'pull secrets are not listed yet';
    const { status, text } = await call('GET', '/readyz');
    assert.deepEqual([status, JSON.parse(text)], [503, { status: 'not ready', reason }]);
    assert.equal((await call('GET', '/healthz')).status, 200);
    assert.deepEqual(
      [
        (await call('GET', '/mutate/pod')).status,
        (await call('GET', '/')).status,
        (await call('POST', '/%ff')).status,
      ],
      [404, 404, 404],
    );
  });

  it('keeps idle connections longer than the API server', async () => {
    const sent = request({
      host: '127.0.0.1',
      port: server.port!,
      path: '/healthz',
      ca: caBundle(set),
      agent: new Agent({ keepAlive: true, maxSockets: 1 }),
      servername: 'hook.test',
    }).end();
    const [{ headers, socket }] = (await once(sent, 'response')) as [IncomingMessage];
    assert.ok(Number(/timeout=(\d+)/.exec(String(headers['keep-alive']))?.[1]) > 90);
    socket.destroy();
  });

  it('uses a new certificate without a restart', async () => {
    const first = (await call('GET', '/healthz')).serial;
    const renewed = await renewedCertificates(set, NAMES, Date.now(), 'leaf');
    await server.use(renewed.leaf);
    assert.notEqual((await call('GET', '/healthz')).serial, first);
  });

  it('finishes answers in progress before it closes', async () => {
    const { promise, resolve } = Promise.withResolvers<object>();
    const arrived = Promise.withResolvers<void>();
    const slow = new WebhookServer({
      host: '127.0.0.1',
      port: 0,
      answer: () => (arrived.resolve(), promise),
      notReady: () => null,
    });
    await slow.use(set.leaf);
    const silent = connect({
      host: '127.0.0.1',
      port: slow.port!,
      ca: caBundle(set),
      servername: 'hook.test',
    });
    await once(silent, 'secureConnect');
    const sent = request({
      host: '127.0.0.1',
      port: slow.port!,
      path: '/mutate/pod',
      method: 'POST',
      ca: caBundle(set),
      servername: 'hook.test',
    }).end('{}');
    const response = once(sent, 'response') as Promise<[IncomingMessage]>;
    await arrived.promise;
    const closed = slow.close();
    resolve({ done: true });
    const [{ statusCode }] = await response;
    assert.equal(statusCode, 200);
    await closed;
    silent.destroy();
  });
});
