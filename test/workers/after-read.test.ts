import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo } from 'node:net';
import { AfterRead } from '../../lib/workers/after-read.ts';
import { until } from '../telemetry/until.ts';

describe('workers/after-read', () => {
  it('publishes nothing before the socket has its next buffer, then all in order', async () => {
    const server = createServer((socket) => socket.end('bytes')).listen(0, '127.0.0.1');
    await until(() => server.listening, 'the server');
    const afterRead = new AfterRead();
    const done: string[] = [];
    const socket = connect({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      onread: {
        buffer() {
          done.push('buffer');
          return new Uint8Array(64);
        },
        callback() {
          afterRead.add(() => done.push('first'));
          afterRead.add(() => done.push('second'));
          done.push('read');
          return true;
        },
      },
    });
    await until(() => done.includes('second'), 'what comes after the read');
    assert.deepEqual(done, ['buffer', 'read', 'buffer', 'first', 'second']);
    socket.destroy();
    server.close();
  });

  it('does what waits at once when told, and only once', async () => {
    const afterRead = new AfterRead();
    const done: number[] = [];
    afterRead.add(() => done.push(1));
    afterRead.now();
    afterRead.add(() => done.push(2));
    assert.deepEqual(done, [1]);
    await Promise.resolve();
    await Promise.resolve();
    assert.deepEqual(done, [1, 2]);
  });
});
