import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { checksumOf } from '../../../lib/io/checksum.ts';
import { callPeer, type PeerCallJob } from '../../../lib/workers/peer/call.ts';
import { head, json, PeerBench } from './peer-server.ts';

const BODY = Buffer.alloc(50_000, 'manifest');
const DIGEST = `sha256:${createHash('sha256').update(BODY).digest('hex')}`;

describe('workers/peer-call', () => {
  const bench = new PeerBench();

  const job = (more: Partial<PeerCallJob> = {}): PeerCallJob => ({
    kind: 'call',
    node: `${bench.server.host}:${bench.server.port}`,
    path: '/rpc/recall/x',
    headers: { 'shoal-auth': 'a' },
    answerBytesMax: 60_000,
    deadlineMs: 5_000,
    digest: null,
    ...more,
  });

  it('brings an answer of any status whole', async () => {
    for (const [status, body] of [
      [200, {}],
      [404, { kind: 'miss' }],
      [424, { code: 'ORIGIN_REFUSED' }],
    ] as const) {
      bench.answer = (socket) => socket.write(json(status, body));
      const result = await callPeer(job(), bench.tools);
      assert.ok(result.kind === 'answer');
      assert.deepEqual(
        [result.status, JSON.parse(Buffer.from(result.body).toString()), result.checksum],
        [status, body, null],
      );
    }
    assert.match(
      bench.server.requests[0]!.head,
      /^GET \/rpc\/recall\/x HTTP\/1\.1\r\n[^]*shoal-auth: a/,
    );
    assert.deepEqual(
      new Set(bench.server.requests.map(({ connection }) => connection)),
      new Set([0]),
      'over one connection',
    );
  });

  it('holds a body against its digest, however it arrives', async () => {
    bench.answer = (socket) => {
      socket.write(head(200, BODY.length));
      for (let from = 0; from < BODY.length; from += 7_000)
        socket.write(BODY.subarray(from, from + 7_000));
    };
    const good = await callPeer(job({ digest: DIGEST }), bench.tools);
    assert.ok(good.kind === 'answer' && BODY.equals(good.body));
    assert.equal(good.checksum, checksumOf(BODY).toString('hex'));
    const wrong = await callPeer(job({ digest: `sha256:${'00'.repeat(32)}` }), bench.tools);
    assert.ok(wrong.kind === 'failed' && wrong.error.code === 'DIGEST_MISMATCH');
  });

  it('takes no longer answer than it may', async () => {
    bench.answer = (socket) => socket.write(head(200, 60_001));
    const result = await callPeer(job(), bench.tools);
    assert.ok(result.kind === 'failed' && result.error.code === 'PEER_BROKEN');
  });

  it('gives up at its deadline', async () => {
    bench.answer = () => undefined;
    const result = await callPeer(job({ deadlineMs: 20 }), bench.tools);
    assert.ok(result.kind === 'failed' && result.error.code === 'PEER_TIMEOUT');
  });

  it('tries again when a kept connection turns out to be closed', async () => {
    bench.answer = (socket, request) =>
      void (request === 1 ? socket.destroy() : socket.write(json(200, {})));
    await callPeer(job(), bench.tools);
    assert.equal((await callPeer(job(), bench.tools)).kind, 'answer');
  });
});
