import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { LINE_ANSWERS_MAX } from '../../lib/front/limits.ts';
import { LINE_TEST_BYTES } from '../../lib/limits.ts';
import { LINE_PATH } from '../../lib/wire/line.ts';
import { rateOf } from '../../lib/swarm/line-meter.ts';
import { testLine } from '../../lib/workers/peer/line.ts';
import { until } from '../telemetry/until.ts';
import { transferTools } from '../workers/peer/peer-server.ts';
import { PeerFrontFixture, SELF } from './peer-fixture.ts';

describe('front/line-answer', () => {
  let at: PeerFrontFixture;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    at = new PeerFrontFixture();
    await at.listen();
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    return at.front.close();
  });

  /** Asks, and reads nothing of the answer but its head; resolves with the status. */
  function ask(): Promise<number> {
    const headers = Object.entries(at.envelope.headers(SELF, LINE_PATH, {}))
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    const socket = connect(at.port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(`GET ${LINE_PATH} HTTP/1.1\r\n${headers}\r\n`);
    return new Promise((resolve) =>
      socket.once('data', (chunk) => {
        socket.pause();
        resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1'))![1]));
      }),
    );
  }

  it('sends as many bytes as a test takes', async () => {
    const { status, body } = await at.get(LINE_PATH);
    assert.equal(status, 200);
    assert.equal(body.length, LINE_TEST_BYTES);
  });

  it('lets a transfer thread test the line, over several connections at once', async () => {
    const node = `127.0.0.1:${at.port}`;
    const one = { node, path: LINE_PATH, headers: at.envelope.headers(SELF, LINE_PATH, {}) };
    const result = await testLine({ kind: 'line', requests: [one, one, one] }, transferTools());
    assert.ok(rateOf(result)! > 0);
  });

  it('answers so many at once, and others when those have gone', async () => {
    for (let count = 0; count < LINE_ANSWERS_MAX; count++) assert.equal(await ask(), 200);
    assert.equal(await ask(), 503);
    for (const socket of sockets.splice(0)) socket.destroy();
    let status = 0;
    await until(async () => (status = await ask()) === 200, 'room for another');
    assert.equal(status, 200);
  });

  it('sends nothing while shards are sent, which a test would delay', async () => {
    const upload = at.uploads.begin(0, 1);
    assert.ok(upload.take(1) > 0);
    assert.equal(await ask(), 503);
    upload.end();
    assert.equal(await ask(), 200);
  });

  it('answers only nodes of the cluster, and none while it drains', async () => {
    const { status, body } = await at.front.get(LINE_PATH, {});
    assert.ok(status >= 400 && body.length < 1_000, `${status}, ${body.length} bytes`);
    at.draining = true;
    assert.equal(await ask(), 503);
  });
});
