import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { HttpConnection } from '../../lib/io/http-connection.ts';
import {
  WINDOW_BYTES_FREE,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_MIN,
  WINDOW_QUEUE_MS,
} from '../../lib/io/limits.ts';
import { RoundTrips, windowFor } from '../../lib/io/receive-window.ts';
import type { SocketOptions } from '../../lib/io/socket-options.ts';

/** Bytes per ms of a line of so many Mbit/s. */
const line = (mbit: number): number => mbit * 125;

describe('io/receive-window', () => {
  it('is what the line brings in a round trip and the time that may wait before it', () => {
    assert.equal(windowFor(line(100), 0), line(100) * WINDOW_QUEUE_MS);
    assert.equal(windowFor(line(25), 10), line(25) * (10 + WINDOW_QUEUE_MS));
    assert.equal(windowFor(line(25), 150), line(25) * 300, 'as long again, on a long one');
  });

  it('is never so small that a short line is idle, and none where it would not bound', () => {
    assert.equal(windowFor(line(1), 0.1), WINDOW_BYTES_MIN);
    assert.equal(windowFor(line(10_000), 0.1), null);
    assert.equal(windowFor(line(1_000), 20), null);
    assert.ok(windowFor(line(100), 20)! <= WINDOW_BYTES_MAX);
  });

  it('lets one connection alone show the rate of a line that was taken for a slower one', () => {
    for (const roundTripMs of [0.2, 5, 40, 150]) {
      let known = line(2);
      for (let shards = 0; shards < 20; shards++)
        known = Math.min(line(100), (windowFor(known, roundTripMs) ?? Infinity) / roundTripMs);
      assert.equal(known, line(100), `${roundTripMs} ms`);
    }
  });

  it('goes by the shortest round trip to a host', () => {
    const trips = new RoundTrips();
    assert.equal(trips.leastMs('a', 30), 30);
    assert.equal(trips.leastMs('a', 0.5), 0.5);
    assert.equal(trips.leastMs('a', 45), 0.5);
    assert.equal(trips.leastMs('b', 45), 45);
  });
});

describe('io/http-connection: what the other side may have under way', () => {
  /** What was set on the socket of a connection that received bodies on lines of these rates. */
  async function receive(
    lines: (number | null)[],
    roundTripMs: number | null,
  ): Promise<{ windows: number[]; marks: number[] }> {
    const BODY_BYTES = 2_000_000;
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const [windows, marks]: [number[], number[]] = [[], []];
    const options: SocketOptions = {
      setLowWater: (_socket, bytes) => marks.push(bytes) > 0,
      setWindow: (_socket, bytes) => windows.push(bytes) > 0,
      roundTripMs: () => roundTripMs,
    };
    const connection = new HttpConnection(
      (onread) => connect({ host: '127.0.0.1', port, onread }),
      options,
    );
    const [far] = (await once(server, 'connection')) as [Socket];
    const bytes = Buffer.alloc(BODY_BYTES);
    for (const bytesPerMs of lines) {
      const sink = {
        head: () => 'place' as const,
        room: (from: number, length: number) => bytes.subarray(from, length),
        placed: () => undefined,
      };
      const exchanged = connection.exchange('GET / HTTP/1.1\r\n\r\n', sink, { bytesPerMs });
      far.write(`HTTP/1.1 200 OK\r\ncontent-length: ${BODY_BYTES}\r\n\r\n`);
      far.write(Buffer.alloc(BODY_BYTES));
      await exchanged;
    }
    connection.destroy(new Error('done'));
    server.close();
    return { windows, marks };
  }

  it('is bounded by the line, and again with each mark that it sets', async () => {
    const { windows, marks } = await receive([line(25)], 0.1);
    const bytes = windowFor(line(25), 0.1)!;
    assert.ok(windows.length >= 1 && windows.length === marks.length + 1);
    assert.ok(windows.every((window) => window === bytes));
    assert.ok(
      marks.every((mark) => mark <= bytes / 2),
      'a full window would never reach the mark',
    );
  });

  it('is not touched where the line is not known, or the round trip', async () => {
    assert.deepEqual((await receive([null], 0.1)).windows, []);
    assert.deepEqual((await receive([line(25)], null)).windows, []);
  });

  it('is free again when the line turns out to be fast', async () => {
    const { windows } = await receive([line(25), line(10_000)], 0.1);
    assert.equal(windows.at(-1), WINDOW_BYTES_FREE);
  });
});
