import assert from 'node:assert/strict';
import { PEER_SILENCE_MS } from '../../../lib/limits.ts';
import { askStat, type StatJob } from '../../../lib/workers/peer/stat.ts';
import { until } from '../../telemetry/until.ts';
import { json, PeerBench } from './peer-server.ts';

const CHECKSUM = 'ab'.repeat(32);
const GOOD = json(200, { totalBytes: 900, lengthBytes: 900, checksum: CHECKSUM });

describe('workers/peer-stat', () => {
  const bench = new PeerBench();

  const job = (): StatJob => ({
    kind: 'stat',
    node: `${bench.server.host}:${bench.server.port}`,
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
      bench.answer = (socket) => socket.write(text);
      assert.deepEqual(await askStat(job(), bench.tools), result);
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
      bench.answer = (socket) => socket.write(json(200, body));
      const result = await askStat(job(), bench.tools);
      assert.ok(
        result.kind === 'failed' && result.error.code === 'PEER_BROKEN',
        JSON.stringify(result),
      );
    }
    bench.answer = (socket) => socket.write(json(424, { code: 'NEWER_THAN_WE', message: 'x' }));
    assert.equal((await askStat(job(), bench.tools)).kind, 'failed');
    bench.answer = (socket) => socket.write(json(401, { code: 'PEER_UNAUTHORIZED', message: 'x' }));
    assert.equal((await askStat(job(), bench.tools)).kind, 'failed');
  });

  it('gives up a node that does not answer', async () => {
    bench.answer = () => undefined;
    const asking = askStat(job(), bench.tools);
    await until(() => bench.server.requests.length === 1, 'the request');
    bench.tools.pushMs(PEER_SILENCE_MS + 1);
    const result = await asking;
    assert.ok(result.kind === 'failed' && result.error.code === 'PEER_TIMEOUT');
  });

  it('tries again when a kept connection turns out to be closed', async () => {
    bench.answer = (socket, request) =>
      void (request === 1 ? socket.destroy() : socket.write(GOOD));
    await askStat(job(), bench.tools);
    assert.equal((await askStat(job(), bench.tools)).kind, 'stat');
    assert.deepEqual(
      bench.server.requests.map(({ connection }) => connection),
      [0, 0, 1],
    );
  });
});
