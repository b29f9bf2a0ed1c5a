import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { PEER_SILENCE_MS } from '../../../lib/limits.ts';
import { askStat, type StatJob } from '../../../lib/workers/peer/stat.ts';
import { until } from '../../telemetry/until.ts';
import { json, peerServer, transferTools, type PeerServer } from './peer-server.ts';

const CHECKSUM = 'ab'.repeat(32);
const GOOD = json(200, { totalBytes: 900, lengthBytes: 900, checksum: CHECKSUM });

describe('workers/peer-stat', () => {
  let server: PeerServer;
  let tools: ReturnType<typeof transferTools>;
  let answer: (socket: Socket, request: number) => void;
  beforeEach(async () => {
    tools = transferTools();
    server = await peerServer((socket, request) => answer(socket, request));
  });
  afterEach(() => server.close());

  const job = (): StatJob => ({
    kind: 'stat',
    node: `${server.host}:${server.port}`,
    path: '/rpc/stat/x/0',
    headers: {},
  });

  it("reads the owner's checksum, or why there is none", async () => {
    const said: [string, unknown][] = [
      [GOOD, { kind: 'stat', totalBytes: 900, lengthBytes: 900, checksum: CHECKSUM }],
      [json(503, { kind: 'busy', retryMs: 300 }), { kind: 'busy', retryMs: 300 }],
      [json(404, { kind: 'miss' }), { kind: 'miss' }],
      [
        json(424, { code: 'ORIGIN_REFUSED', message: 'no', status: 404 }),
        { kind: 'refused', error: { code: 'ORIGIN_REFUSED', message: 'no' } },
      ],
    ];
    for (const [text, result] of said) {
      answer = (socket) => socket.write(text);
      assert.deepEqual(await askStat(job(), tools), result);
    }
  });

  it('refuses an invalid checksum', async () => {
    for (const body of [
      {},
      null,
      { totalBytes: 900, lengthBytes: 900 },
      { totalBytes: 900, lengthBytes: 900, checksum: 'AB'.repeat(32) },
      { totalBytes: '900', lengthBytes: 900, checksum: CHECKSUM },
      { totalBytes: 1.5, lengthBytes: 1, checksum: CHECKSUM },
    ]) {
      answer = (socket) => socket.write(json(200, body));
      const result = await askStat(job(), tools);
      assert.ok(
        result.kind === 'failed' && result.error.code === 'PEER_BROKEN',
        JSON.stringify(result),
      );
    }
    answer = (socket) => socket.write(json(424, { code: 'NEWER_THAN_WE', message: 'x' }));
    assert.equal((await askStat(job(), tools)).kind, 'failed');
    answer = (socket) => socket.write(json(401, { code: 'PEER_UNAUTHORIZED', message: 'x' }));
    assert.equal((await askStat(job(), tools)).kind, 'failed');
  });

  it('gives up a node that does not answer', async () => {
    answer = () => undefined;
    const asking = askStat(job(), tools);
    await until(() => server.requests.length === 1, 'the request');
    tools.pushMs(PEER_SILENCE_MS + 1);
    const result = await asking;
    assert.ok(result.kind === 'failed' && result.error.code === 'PEER_TIMEOUT');
  });

  it('tries again when a kept connection turns out to be closed', async () => {
    answer = (socket, request) => void (request === 1 ? socket.destroy() : socket.write(GOOD));
    await askStat(job(), tools);
    assert.equal((await askStat(job(), tools)).kind, 'stat');
    assert.deepEqual(
      server.requests.map(({ connection }) => connection),
      [0, 0, 1],
    );
  });
});
