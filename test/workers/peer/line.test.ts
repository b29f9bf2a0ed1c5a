import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { LINE_TEST_BYTES } from '../../../lib/limits.ts';
import { testLine } from '../../../lib/workers/peer/line.ts';
import { head, json, PeerBench } from './peer-server.ts';

/** Sends a body for as long as the other side takes it. */
function send(socket: Socket): void {
  socket.write(head(200, LINE_TEST_BYTES));
  const piece = Buffer.alloc(64 * 1024);
  let leftBytes = LINE_TEST_BYTES;
  const more = (): void => {
    while (leftBytes > 0 && !socket.destroyed) {
      leftBytes -= piece.length;
      if (!socket.write(piece)) return void socket.once('drain', more);
    }
  };
  more();
}

describe('workers/peer-line', () => {
  const bench = new PeerBench();
  const test = (nodes: number) => {
    const node = `${bench.server.host}:${bench.server.port}`;
    const one = { node, path: '/rpc/line', headers: { 'shoal-auth': 'a' } };
    return testLine(
      { kind: 'line', requests: Array.from({ length: nodes }, () => one) },
      bench.tools,
    );
  };

  it('counts what all nodes send together, and stops them when that is enough', async () => {
    const sockets: Socket[] = [];
    bench.answer = (socket) => (sockets.push(socket), send(socket));
    const { receivedBytes, tookMs } = await test(4);
    assert.equal(sockets.length, 4);
    assert.ok(receivedBytes > 0.9 * LINE_TEST_BYTES, `${receivedBytes}`);
    assert.ok(receivedBytes < 2 * LINE_TEST_BYTES, `${receivedBytes}`);
    assert.ok(tookMs > 0);
  });

  it('counts the others when some refuse, break off, or send too long a body', async () => {
    bench.answer = (socket, at) => {
      if (at === 0) send(socket);
      else if (at === 1) socket.write(json(503, { kind: 'busy', retryMs: 1_000 }));
      else if (at === 2) socket.destroy();
      else socket.write(head(200, LINE_TEST_BYTES + 1));
    };
    const { receivedBytes } = await test(4);
    assert.ok(receivedBytes > 0.9 * LINE_TEST_BYTES, `${receivedBytes}`);
  });

  it('ends in time when a node sends nothing, and says that nothing came', async () => {
    bench.answer = (socket) => {
      socket.write(head(200, LINE_TEST_BYTES));
      bench.tools.pushMs(10_000);
    };
    assert.deepEqual(await test(2), { receivedBytes: 0, tookMs: 0 });
  });
});
