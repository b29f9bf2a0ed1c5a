import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { HttpConnection } from '../../lib/io/http-connection.ts';
import { socketOptions, type SocketOptions } from '../../lib/io/socket-options.ts';
import { until } from '../telemetry/until.ts';

const BODY_BYTES = 1_000_000;
const HEAD = `HTTP/1.1 200 OK\r\ncontent-length: ${BODY_BYTES}\r\n\r\n`;

/** A server whose test writes the responses, and a connection to it. */
async function pair(
  options: SocketOptions | null,
): Promise<{ connection: HttpConnection; far: Socket; server: Server }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connection = new HttpConnection(
    (onread) => connect({ host: '127.0.0.1', port, onread }),
    options,
  );
  const [far] = (await once(server, 'connection')) as [Socket];
  far.setNoDelay(true);
  return { connection, far, server };
}

/** Sends one body in pieces, each once the one before is due, and counts the reads. */
async function transfer(
  { connection, far }: { connection: HttpConnection; far: Socket },
  pieces: number,
): Promise<{ reads: number; bytes: Buffer }> {
  const bytes = Buffer.alloc(BODY_BYTES);
  let reads = 0;
  const exchanged = connection.exchange('GET / HTTP/1.1\r\n\r\n', {
    head: () => 'place',
    room: (from, length) => bytes.subarray(from, length),
    placed: () => void reads++,
  });
  far.write(HEAD);
  const step = Math.ceil(BODY_BYTES / pieces);
  for (let at = 0; at < BODY_BYTES; at += step) {
    far.write(Buffer.alloc(Math.min(step, BODY_BYTES - at), 1 + ((at / step) % 250)));
    await new Promise((next) => setTimeout(next, 1));
  }
  await exchanged;
  return { reads, bytes };
}

describe('io/socket-options', () => {
  it('lets the kernel gather the pieces of a body, and loses none', async function () {
    const { options } = socketOptions();
    if (options === null) return this.skip();
    const plain = await pair(null);
    const gathered = await pair(options);
    const one = await transfer(plain, 200);
    const other = await transfer(gathered, 200);
    assert.ok(one.bytes.equals(other.bytes));
    assert.ok(other.reads < one.reads / 2, `${other.reads} of ${one.reads} reads`);
    // The next exchange on the connection starts with its first byte.
    await transfer(gathered, 50);
    for (const { connection, server } of [plain, gathered]) {
      connection.destroy(new Error('done'));
      server.close();
    }
  });

  it('hands over the bytes of a flow that stops below the mark', async function () {
    const { options } = socketOptions();
    if (options === null) return this.skip();
    const marks: number[] = [];
    const { connection, far, server } = await pair({
      ...options,
      setLowWater(socket, bytes) {
        marks.push(bytes);
        return options.setLowWater(socket, bytes);
      },
    });
    // Long enough that a busy machine measures a fast flow in some window of it.
    const bodyBytes = 200_000_000;
    const pieceBytes = 100_000;
    const bytes = Buffer.alloc(bodyBytes);
    let placed = 0;
    const exchanged = connection.exchange('GET / HTTP/1.1\r\n\r\n', {
      head: () => 'place',
      room: (from, length) => bytes.subarray(from, length),
      placed: (upTo) => void (placed = upTo),
    });
    far.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bodyBytes}\r\n\r\n`);
    let sent = 0;
    while (marks.at(-1) === undefined || marks.at(-1) === 1) {
      far.write(Buffer.alloc(pieceBytes));
      sent += pieceBytes;
      await new Promise((next) => setTimeout(next, 2));
      assert.ok(sent < bodyBytes / 2, 'no mark was set');
    }
    await until(() => placed === sent, 'all bytes sent to be handed over');
    far.destroy();
    await assert.rejects(exchanged, /closed the connection/);
    server.close();
  });

  it('works without the system call', async () => {
    const plain = await pair(null);
    assert.equal((await transfer(plain, 3)).bytes.length, BODY_BYTES);
    plain.connection.destroy(new Error('done'));
    plain.server.close();
  });

  it('tells the round trip of a connection, and sets a bound', async function () {
    const { options } = socketOptions();
    if (options === null) return this.skip();
    const { connection, far, server } = await pair(options);
    const roundTripMs = options.roundTripMs(far)!;
    assert.ok(roundTripMs > 0 && roundTripMs < 1_000, `${roundTripMs} ms`);
    assert.equal(options.setWindow(far, 65_536), true);
    connection.destroy(new Error('done'));
    server.close();
  });

  it('says so when the socket is closed', async function () {
    const { options } = socketOptions();
    if (options === null) return this.skip();
    const { connection, far, server } = await pair(null);
    far.destroy();
    await until(() => far.destroyed, 'the end');
    assert.equal(options.setWindow(far, 65_536), false);
    assert.equal(options.setLowWater(far, 2), false);
    assert.equal(options.roundTripMs(far), null);
    connection.destroy(new Error('done'));
    server.close();
  });
});
