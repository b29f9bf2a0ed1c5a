import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { LOOK_MS, CONNECTION_HEAD_BYTES_MAX, SHARD_BYTES } from '../../../lib/limits.ts';
import { HttpConnection } from '../../../lib/io/http-connection.ts';
import { PEER_CONNECT_MS, PEER_CONNECT_TRIES } from '../../../lib/workers/limits.ts';
import { NoConnection } from '../../../lib/workers/peer/connection.ts';
import { readFromPeer, type PeerReadJob } from '../../../lib/workers/peer/read.ts';
import type { PreadResult } from '../../../lib/wire/pread.ts';
import { until } from '../../telemetry/until.ts';
import { head, json, readJob, PeerBench } from './peer-server.ts';

const PART = Buffer.alloc(5_000, 7);

describe('workers/peer-read, everything else', () => {
  const bench = new PeerBench();

  const read = (more: Partial<PeerReadJob> = {}): Promise<PreadResult> =>
    readFromPeer(readJob(bench.server, more), bench.tools);

  /** Reads what `said` answers, and fails unless that fails, with the code. */
  async function failure(
    said: string | Buffer,
    code: string,
    more: Partial<PeerReadJob> = {},
  ): Promise<number> {
    bench.answer = (socket) => socket.write(said);
    const result = await read(more);
    assert.ok(result.kind === 'failed', JSON.stringify(result));
    assert.equal(result.error.code, code, result.error.message);
    return result.receivedBytes;
  }

  it('hears a redirect, "busy", a miss and the origin\'s refusal', async () => {
    const refusal = {
      code: 'ORIGIN_REFUSED',
      message: 'no',
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="a"\nBearer realm="b"' },
    };
    const checksum = 'ab'.repeat(32);
    const said: [string, PreadResult][] = [
      [
        json(307, { kind: 'redirect', parents: ['a:1', 'b:2'], checksum, totalBytes: 9 }),
        { kind: 'redirect', parents: ['a:1', 'b:2'], checksum, totalBytes: 9 },
      ],
      [
        json(307, { parents: [], checksum: null, totalBytes: null }),
        { kind: 'redirect', parents: [], checksum: null, totalBytes: null },
      ],
      [json(503, { kind: 'busy', retryMs: 400 }), { kind: 'busy', retryMs: 400 }],
      [json(404, { kind: 'miss' }), { kind: 'miss' }],
      [json(424, refusal), { kind: 'refused', error: { code: 'ORIGIN_REFUSED', message: 'no' } }],
    ];
    for (const [text, result] of said) {
      bench.answer = (socket) => socket.write(text);
      assert.deepEqual(await read(), result);
    }
    assert.deepEqual(
      new Set(bench.server.requests.map(({ connection }) => connection)),
      new Set([0]),
      'the connection is none the worse for it',
    );
  });

  it("keeps a peer's wish to be left alone within bounds", async () => {
    for (const [retryMs, meant] of [
      [1e9, 1_000],
      ['soon', 100],
      [null, 100],
    ] as const) {
      bench.answer = (socket) => socket.write(json(503, { retryMs }));
      assert.deepEqual(await read(), { kind: 'busy', retryMs: meant });
    }
  });

  it('does not take nonsense for a verdict', async () => {
    await failure(json(307, { parents: 'everybody' }), 'PEER_BROKEN');
    await failure(json(307, { parents: [1, 2] }), 'PEER_BROKEN');
    await failure(json(307, null), 'PEER_BROKEN');
    await failure(head(404, 5) + 'hello', 'PEER_BROKEN');
    await failure(json(500, {}), 'PEER_BROKEN');
    await failure(json(206, {}), 'PEER_BROKEN');
  });

  it("does not take nonsense for the origin's refusal", async () => {
    for (const body of [
      {},
      [],
      null,
      { code: 'NEWER_THAN_WE', message: 'x' },
      { code: 'ORIGIN_REFUSED' },
      { code: 'toString', message: 'x' },
    ]) {
      await failure(json(424, body), 'PEER_BROKEN');
    }
  });

  it("takes only code and text from another node's refusal, whatever else it sends", async () => {
    for (const more of [
      { status: 401 },
      { status: 'no' },
      { headers: { 'www-authenticate': 'Bearer realm="https://evil.example"' } },
      { headers: { 'retry-after': '1\r\nset-cookie: x' } },
      { body: '<html>' },
    ]) {
      bench.answer = (socket) =>
        socket.write(json(424, { code: 'ORIGIN_REFUSED', message: 'a\r\nb', ...more }));
      assert.deepEqual(await read(), {
        kind: 'refused',
        error: { code: 'ORIGIN_REFUSED', message: 'a??b' },
      });
    }
  });

  it('believes no wrong size', async () => {
    const total = { 'Shoal-Total': SHARD_BYTES };
    await failure(head(200, SHARD_BYTES - 1, total), 'PEER_BROKEN');
    await failure(head(200, SHARD_BYTES + 1, total), 'PEER_BROKEN');
    await failure(head(200, SHARD_BYTES), 'PEER_BROKEN');
    await failure(head(200, SHARD_BYTES, { 'Shoal-Total': 'many' }), 'PEER_BROKEN');
    await failure(head(200, SHARD_BYTES, { 'Shoal-Total': 1e20 }), 'PEER_BROKEN');
    await failure(head(200, SHARD_BYTES, total), 'PEER_BROKEN', { totalBytes: 2 * SHARD_BYTES });
    await failure(head(200, 0, total), 'PEER_BROKEN', { shard: 5 });
    assert.equal(bench.tools.arena.length(0), -1, 'nothing of it was published');
  });

  it('does not write past the slot when more comes than was announced', async () => {
    await failure(
      Buffer.concat([Buffer.from(head(200, 10, { 'Shoal-Total': 10 })), PART]),
      'PEER_BROKEN',
    );
    assert.ok(bench.tools.arena.bytes(0, 10).every((byte) => byte === 0));
  });

  it('keeps what came before the connection broke, and says how much', async () => {
    bench.answer = (socket) =>
      socket.end(
        Buffer.concat([Buffer.from(head(200, SHARD_BYTES, { 'Shoal-Total': SHARD_BYTES })), PART]),
      );
    const result = await read();
    assert.ok(result.kind === 'failed' && result.error.code === 'PEER_BROKEN');
    assert.equal(result.receivedBytes, PART.length);
    assert.equal(bench.tools.arena.received(0), PART.length);
  });

  it('tells a node that is not there from one that breaks off', async () => {
    bench.server.close();
    const result = await read();
    assert.ok(result.kind === 'failed' && result.error.code === 'PEER_UNREACHABLE');
  });

  it('refuses a head without end, and a message longer than any', async () => {
    await failure(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(CONNECTION_HEAD_BYTES_MAX)}`, 'PEER_BROKEN');
    await failure(head(307, CONNECTION_HEAD_BYTES_MAX + 1), 'PEER_BROKEN');
    await failure('SSH-2.0-x\r\n\r\n', 'PEER_BROKEN');
  });

  it('tries again when its connection was lost on the line, but not without end', async () => {
    const { tools } = bench;
    const times: number[] = [];
    let lost = 1;
    const open = tools.peers.open.bind(tools.peers);
    tools.peers.open = (host, port, connectMs) => {
      times.push(connectMs);
      if (lost-- <= 0) return open(host, port, connectMs);
      return new HttpConnection(() => {
        const socket = new Socket();
        process.nextTick(() => socket.destroy(new NoConnection(connectMs)));
        return socket;
      });
    };
    bench.answer = (socket) => socket.write(json(404, { kind: 'miss' }));
    assert.deepEqual(await read(), { kind: 'miss' });
    assert.deepEqual(times, [PEER_CONNECT_MS, PEER_CONNECT_MS]);
    lost = Infinity;
    times.length = 0;
    tools.peers.take = () => null;
    const result = await read({ shardMs: 1_700 });
    assert.equal(result.kind === 'failed' && result.error.code, 'PEER_UNREACHABLE');
    assert.deepEqual(times, Array(PEER_CONNECT_TRIES).fill(850), 'half a shard of a slow line');
  });

  it('leaves a node that falls silent, before the head or within the body', async () => {
    for (const said of [
      '',
      Buffer.concat([Buffer.from(head(200, SHARD_BYTES, { 'Shoal-Total': SHARD_BYTES })), PART]),
    ]) {
      bench.answer = (socket) => void (said === '' ? undefined : socket.write(said));
      const before = bench.server.requests.length;
      const reading = read();
      await until(
        () =>
          bench.server.requests.length > before &&
          bench.tools.arena.received(0) === (said === '' ? 0 : PART.length),
        'what is said',
      );
      const passing = setInterval(() => bench.tools.pushMs(100), LOOK_MS / 2);
      const result = await reading;
      clearInterval(passing);
      assert.ok(result.kind === 'failed' && result.error.code === 'PEER_TIMEOUT');
    }
  });

  it('stops soon after control has cancelled the attempt, and not for an older one', async () => {
    bench.answer = (socket) =>
      socket.write(
        Buffer.concat([Buffer.from(head(200, SHARD_BYTES, { 'Shoal-Total': SHARD_BYTES })), PART]),
      );
    bench.tools.arena.cancel(0, 1);
    const reading = read({ attempt: 2 });
    await until(() => bench.tools.arena.received(0) === PART.length, 'the first bytes');
    bench.tools.arena.cancel(0, 2);
    const result = await reading;
    assert.ok(result.kind === 'failed' && result.error.code === 'CANCELLED');
  });

  it('retries on a kept connection that was closed, which is no fault of the node', async () => {
    const good = Buffer.concat([Buffer.from(head(200, 5_000, { 'Shoal-Total': 5_000 })), PART]);
    // The second request on the first connection meets a server that has just given it up.
    bench.answer = (socket, request) =>
      void (request === 1 ? socket.destroy() : socket.write(good));
    assert.equal((await read()).kind, 'data');
    assert.equal((await read()).kind, 'data');
    assert.deepEqual(
      bench.server.requests.map(({ connection }) => connection),
      [0, 0, 1],
    );
  });

  it('does not try again when a new connection breaks, nor once bytes have come', async () => {
    const good = Buffer.concat([Buffer.from(head(200, 5_000, { 'Shoal-Total': 5_000 })), PART]);
    bench.answer = (socket) => socket.destroy();
    assert.equal((await read()).kind, 'failed');
    assert.equal(bench.server.requests.length, 1);
    bench.answer = (socket, request) =>
      void (request === 1 ? socket.write(good) : socket.end(good.subarray(0, good.length - 1)));
    assert.equal((await read()).kind, 'data');
    const broken = await read();
    assert.ok(broken.kind === 'failed' && broken.receivedBytes === 4_999);
    assert.equal(bench.server.requests.length, 3);
  });

  it('drops a connection with unexpected bytes, or one that is to be closed', async () => {
    const good = Buffer.concat([
      Buffer.from(head(200, 5_000, { 'Shoal-Total': 5_000, Connection: 'close' })),
      PART,
    ]);
    bench.answer = (socket) => socket.write(good);
    await read();
    await read();
    assert.deepEqual(
      bench.server.requests.map(({ connection }) => connection),
      [0, 1],
    );
  });
});
