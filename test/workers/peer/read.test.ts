import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { checksumOf } from '../../../lib/io/checksum.ts';
import type { LineHints } from '../../../lib/io/http-connection.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import type { ExchangeTools } from '../../../lib/workers/peer/exchange.ts';
import { readFromPeer } from '../../../lib/workers/peer/read.ts';
import { until } from '../../telemetry/until.ts';
import { head, peerServer, readJob, transferTools, type PeerServer } from './peer-server.ts';

const SHARD = randomBytes(SHARD_BYTES);
const SMALL = randomBytes(1_000);
const CHECKSUM = checksumOf(SHARD).toString('hex');

describe('workers/peer-read, whole shards', () => {
  let server: PeerServer;
  let answer: (socket: Socket, request: number) => void;
  beforeEach(async () => {
    server = await peerServer((socket, request) => answer(socket, request));
  });
  afterEach(() => server.close());

  it('reads a shard into its slot, and checks it', async () => {
    answer = (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from(
            head(200, SHARD_BYTES, { 'Shoal-Total': 3 * SHARD_BYTES, 'Shoal-Checksum': CHECKSUM }),
          ),
          SHARD,
        ]),
      );
    const tools = transferTools();
    const result = await readFromPeer(readJob(server), tools);
    assert.deepEqual(result, {
      kind: 'data',
      totalBytes: 3 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      claimedChecksum: CHECKSUM,
      checksum: CHECKSUM,
    });
    assert.ok(SHARD.equals(tools.arena.bytes(0)));
    assert.deepEqual(
      [tools.arena.length(0), tools.arena.total(0), tools.arena.received(0)],
      [SHARD_BYTES, 3 * SHARD_BYTES, SHARD_BYTES],
    );
    assert.equal(
      server.requests[0]!.head,
      `GET /rpc/pread/x/0 HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nshoal-auth: signed`,
    );
  });

  it('tells the connection the rate of the line that it shares with others', async () => {
    answer = (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from(head(200, SMALL.length, { 'Shoal-Total': SMALL.length })),
          SMALL,
        ]),
      );
    for (const [shardMs, bytesPerMs] of [
      [500, SHARD_BYTES / 500],
      [null, null],
    ] as const) {
      const tools = transferTools();
      const lines: (LineHints | undefined)[] = [];
      const peers: ExchangeTools['peers'] = {
        take: () => null,
        give: (...given) => tools.peers.give(...given),
        open(...where) {
          const connection = tools.peers.open(...where);
          return {
            destroy: (error) => connection.destroy(error),
            exchange(requestHead, sink, line) {
              lines.push(line);
              return connection.exchange(requestHead, sink, line);
            },
          };
        },
      };
      await readFromPeer({ ...readJob(server), shardMs, gatherMs: 20 }, { ...tools, peers });
      assert.deepEqual(lines, [{ bytesPerMs, gatherMs: 20 }]);
    }
  });

  it("releases nothing to clients before the shard matches the owner's checksum", async () => {
    answer = (socket) =>
      socket.write(
        Buffer.concat([Buffer.from(head(200, SHARD_BYTES, { 'Shoal-Total': SHARD_BYTES })), SHARD]),
      );
    const tools = transferTools();
    await readFromPeer(readJob(server), tools);
    assert.equal(tools.arena.released(0), 0);
  });

  it('tells nobody that a blob is empty before its digest has been compared', async () => {
    answer = (socket) => socket.write(head(200, 0, { 'Shoal-Total': 0 }));
    for (const [text, length] of [
      ['not empty', -1],
      ['', 0],
    ] as const) {
      const tools = transferTools();
      tools.arena.setLength(0, -1, 0);
      const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
      const { kind } = await readFromPeer({ ...readJob(server), digest }, tools);
      assert.deepEqual([kind, tools.arena.length(0)], [length === 0 ? 'data' : 'failed', length]);
    }
  });

  it('reads an answer that comes in the smallest pieces, and the watermark follows', async () => {
    const whole = Buffer.concat([
      Buffer.from(head(200, SMALL.length, { 'Shoal-Total': SMALL.length })),
      SMALL,
    ]);
    const tools = transferTools();
    let cut = 0;
    answer = (socket) => {
      const next = (): void => {
        if (cut >= whole.length) return;
        const from = cut;
        // The head byte by byte, the rest in larger bites.
        cut = Math.min(whole.length, from + (from < 90 ? 1 : 300));
        socket.write(whole.subarray(from, cut), () => setImmediate(next));
      };
      next();
    };
    const result = await readFromPeer(readJob(server), tools);
    assert.equal(result.kind, 'data');
    assert.ok(SMALL.equals(tools.arena.bytes(0, 0, SMALL.length)));
  });

  it('moves the watermark while the shard is under way', async () => {
    let socket: Socket | null = null;
    answer = (answered) => {
      socket = answered;
      socket.write(
        Buffer.concat([
          Buffer.from(head(200, SHARD_BYTES, { 'Shoal-Total': SHARD_BYTES })),
          SHARD.subarray(0, 5_000),
        ]),
      );
    };
    const tools = transferTools();
    const reading = readFromPeer(readJob(server), tools);
    await until(() => tools.arena.received(0) === 5_000, 'the first bytes');
    assert.ok(SHARD.subarray(0, 5_000).equals(tools.arena.bytes(0, 0, 5_000)));
    socket!.write(SHARD.subarray(5_000));
    assert.equal((await reading).kind, 'data');
  });

  it('goes on from the byte it is told, and checks the whole', async () => {
    const fromBytes = Math.floor(0.6 * SHARD_BYTES);
    answer = (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from(head(200, SHARD_BYTES - fromBytes, { 'Shoal-Total': SHARD_BYTES })),
          SHARD.subarray(fromBytes),
        ]),
      );
    const tools = transferTools();
    tools.arena.bytes(0).set(SHARD.subarray(0, fromBytes));
    const result = await readFromPeer(readJob(server, { fromBytes }), tools);
    assert.ok(
      result.kind === 'data' && result.checksum === CHECKSUM && result.claimedChecksum === null,
    );
  });

  it('takes bytes that the sender has not checked only where it was not asked to', async () => {
    for (const says of [false, true]) {
      answer = (socket) =>
        socket.write(
          Buffer.concat([
            Buffer.from(
              head(200, SHARD_BYTES, {
                'Shoal-Total': SHARD_BYTES,
                ...(says ? { 'Shoal-Checked': 1 } : {}),
              }),
            ),
            SHARD,
          ]),
        );
      const wanted = await readFromPeer(readJob(server, { checked: true }), transferTools());
      assert.equal(wanted.kind, says ? 'data' : 'miss');
      assert.equal((await readFromPeer(readJob(server), transferTools())).kind, 'data');
    }
  });

  it('accepts an empty body if only the checksum is missing', async () => {
    answer = (socket) =>
      socket.write(head(200, 0, { 'Shoal-Total': SHARD_BYTES, 'Shoal-Checksum': CHECKSUM }));
    const tools = transferTools();
    tools.arena.bytes(0).set(SHARD);
    const result = await readFromPeer(readJob(server, { fromBytes: SHARD_BYTES }), tools);
    assert.deepEqual(result, {
      kind: 'data',
      totalBytes: SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      claimedChecksum: CHECKSUM,
      checksum: CHECKSUM,
    });
  });

  it('reads the short last shard of a blob', async () => {
    answer = (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from(head(200, 1_000, { 'Shoal-Total': 2 * SHARD_BYTES + 1_000 })),
          SMALL,
        ]),
      );
    const result = await readFromPeer(readJob(server, { shard: 2 }), transferTools());
    assert.ok(result.kind === 'data' && result.lengthBytes === 1_000);
  });

  it('checks a blob of one shard against its digest', async () => {
    answer = (socket) =>
      socket.write(Buffer.concat([Buffer.from(head(200, 1_000, { 'Shoal-Total': 1_000 })), SMALL]));
    const digest = `sha256:${createHash('sha256').update(SMALL).digest('hex')}`;
    assert.equal((await readFromPeer(readJob(server, { digest }), transferTools())).kind, 'data');
    const result = await readFromPeer(
      readJob(server, { digest: `sha256:${'00'.repeat(32)}` }),
      transferTools(),
    );
    assert.ok(result.kind === 'failed' && result.error.code === 'DIGEST_MISMATCH');
  });

  it('uses a connection again, one exchange after the other', async () => {
    answer = (socket) =>
      socket.write(Buffer.concat([Buffer.from(head(200, 1_000, { 'Shoal-Total': 1_000 })), SMALL]));
    const tools = transferTools();
    for (let read = 0; read < 3; read++)
      assert.equal((await readFromPeer(readJob(server), tools)).kind, 'data');
    assert.deepEqual(
      server.requests.map(({ connection }) => connection),
      [0, 0, 0],
    );
    tools.pushMs(60_000);
    await readFromPeer(readJob(server), tools);
    assert.equal(server.requests[3]!.connection, 1, 'not one that has been idle for so long');
  });

  it('reads into several slots at once', async () => {
    answer = (socket, request) =>
      socket.write(
        Buffer.concat([
          Buffer.from(head(200, 1_000, { 'Shoal-Total': 1_000 })),
          Buffer.alloc(1_000, request + 1),
        ]),
      );
    const tools = transferTools(4);
    const results = await Promise.all(
      [0, 1, 2, 3].map((slot) => readFromPeer(readJob(server, { slot }), tools)),
    );
    assert.ok(results.every((result) => result.kind === 'data'));
    assert.deepEqual(
      [0, 1, 2, 3].map((slot) => new Set(tools.arena.bytes(slot, 0, 1_000)).size),
      [1, 1, 1, 1],
    );
  });
});
