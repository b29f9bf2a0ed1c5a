import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { BodySender, type Place, type SenderEvents } from '../../lib/front/body-sender.ts';
import { Throttle } from '../../lib/front/throttle.ts';
import { SlotState } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { TURN_BYTES } from '../../lib/front/limits.ts';
import { until } from '../telemetry/until.ts';
import { frontFixture, type FrontFixture } from './fixture.ts';

const FIRST = randomBytes(SHARD_BYTES);
const SECOND = randomBytes(SHARD_BYTES);
const TOTAL_BYTES = 2 * SHARD_BYTES;

describe('front/body-sender', () => {
  let at: FrontFixture;
  let places: Map<number, Place>;
  let asked: number[];
  let sent: { bytes: number; shard: number; slot: number }[];
  let done: number;
  /** Handlers for room in the socket that were given to uWebSockets.js. */
  let handlers: number;
  let sender: BodySender | null;

  beforeEach(() => {
    at = frontFixture(3);
    [places, asked, sent, done, handlers, sender] = [new Map(), [], [], 0, 0, null];
  });
  afterEach(() => at.close());

  /** Serves bytes [from, to) of the blob at `/`; `throttle` in MB/s. */
  async function serve(
    from: number,
    to: number,
    throttle: Throttle | null = null,
  ): Promise<number> {
    const events: SenderEvents = {
      place(shard) {
        asked.push(shard);
        return places.get(shard) ?? null;
      },
      sent: (bytes, shard, slot) => sent.push({ bytes, shard, slot }),
      done: () => done++,
    };
    at.app.get('/', (res) => {
      res.onAborted(() => sender?.stop());
      res.writeStatus('206 Partial Content');
      const { onWritable } = res;
      res.onWritable = (handler) => {
        handlers += 1;
        return onWritable.call(res, handler);
      };
      sender = new BodySender(
        res,
        {
          arena: at.arena,
          followers: at.followers,
          turn: at.turn,
          nowMs: () => 0,
          throttle,
          watermark: (slot, fromBytes) => at.arena.sendableTo(slot, fromBytes),
        },
        events,
        from,
        to,
      );
      sender.pump();
    });
    return at.listen();
  }

  const sentBytes = (): number => sent.reduce((sum, { bytes }) => sum + bytes, 0);

  it('sends what is there in place, over shards, and says so once', async () => {
    places.set(0, at.place(0, FIRST, TOTAL_BYTES)).set(1, at.place(1, SECOND, TOTAL_BYTES));
    await serve(SHARD_BYTES - 100_000, SHARD_BYTES + 50_000);
    const { status, headers, body } = await at.get('/');
    assert.equal(status, 206);
    assert.equal(headers['content-length'], '150000');
    assert.ok(body.equals(Buffer.concat([FIRST.subarray(-100_000), SECOND.subarray(0, 50_000)])));
    assert.deepEqual([asked, done, sentBytes(), handlers], [[0, 1], 1, 150_000, 0]);
    assert.deepEqual(
      new Set(sent.map(({ shard, slot }) => `${shard} in ${slot}`)),
      new Set(['0 in 0', '1 in 1']),
    );
  });

  it("waits when others have used the turn's bytes, and leaves nothing out", async () => {
    places.set(0, at.place(0, FIRST, TOTAL_BYTES));
    await serve(0, SHARD_BYTES);
    const { take, wait } = at.turn;
    const left = [0, 1_000, 0];
    let waits = 0;
    at.turn.take = (bytes) =>
      left.length > 0 ? Math.min(bytes, left.shift()!) : take.call(at.turn, bytes);
    at.turn.wait = (waiter) => {
      waits += 1;
      wait.call(at.turn, waiter);
    };
    assert.ok((await at.get('/')).body.equals(FIRST));
    assert.deepEqual([waits, done, sent[0]?.bytes, sentBytes()], [2, 1, 1_000, SHARD_BYTES]);
    assert.ok(sent.every(({ bytes }) => bytes <= TURN_BYTES));
  });

  it('waits for room in the socket whenever bytes are left to send', async () => {
    // Without that, uWebSockets.js cuts the answer after 10 s.
    places.set(
      0,
      at.place(0, FIRST.subarray(0, 1_000), 5_000, { lengthBytes: 5_000, releasedBytes: 700 }),
    );
    await serve(0, 5_000);
    const answer = at.get('/');
    await until(() => sentBytes() === 700, 'what is released');
    assert.equal(handlers, 1);
    at.arrives(0, FIRST.subarray(1_000, 5_000));
    at.arena.setReleased(0, 5_000);
    at.doorbells.ringAll();
    assert.equal((await answer).body.length, 5_000);
    assert.equal(handlers, 1, 'once is enough');
  });

  it('follows the watermark, and sends not a byte beyond it', async () => {
    places.set(
      0,
      at.place(0, FIRST.subarray(0, 1_000), 5_000, { lengthBytes: 5_000, releasedBytes: 700 }),
    );
    await serve(0, 5_000);
    const answer = at.get('/');
    await until(() => sentBytes() === 700, 'what is released');
    at.arena.setReleased(0, 1_000);
    at.doorbells.ringAll();
    await until(() => sentBytes() === 1_000, 'what was released since');
    at.arrives(0, FIRST.subarray(1_000, 5_000));
    assert.ok((await answer).body.equals(FIRST.subarray(0, 5_000)));
  });

  it('waits for a place and goes on from there; a place of another shard is none', async () => {
    await serve(0, 5_000);
    const answer = at.get('/');
    await until(() => sender !== null, 'the request');
    const place = at.place(0, FIRST.subarray(0, 5_000), 5_000);
    sender!.placed(1, place);
    assert.equal(sentBytes(), 0);
    sender!.placed(0, place);
    assert.ok((await answer).body.equals(FIRST.subarray(0, 5_000)));
    assert.deepEqual(asked, [0]);
  });

  it('asks again when its slot holds another shard, and never sends that shard', async () => {
    places.set(0, at.place(0, FIRST.subarray(0, 2_000), 5_000, { lengthBytes: 5_000 }));
    await serve(0, 5_000);
    const answer = at.get('/');
    await until(() => sentBytes() === 2_000, 'the first part');
    at.place(0, SECOND, TOTAL_BYTES);
    places.set(0, at.place(2, FIRST.subarray(0, 5_000), 5_000));
    at.doorbells.ringAll();
    assert.ok((await answer).body.equals(FIRST.subarray(0, 5_000)));
    assert.deepEqual(asked, [0, 0]);
    assert.equal(sent.at(-1)!.slot, 2);
  });

  it('does not spin while control is giving its slot to another shard', async () => {
    const place = at.place(0, FIRST.subarray(0, 5_000), 5_000);
    places.set(0, place);
    await serve(0, 5_000);
    assert.equal(at.arena.tryLock(0), true);
    const answer = at.get('/');
    await until(() => sender !== null, 'the request');
    let turns = 0;
    await until(() => ++turns > 5, 'some turns of the event loop');
    assert.deepEqual(asked, [0]);
    at.place(0, SECOND, TOTAL_BYTES);
    places.set(0, at.place(1, FIRST.subarray(0, 5_000), 5_000));
    assert.ok((await answer).body.equals(FIRST.subarray(0, 5_000)));
    assert.deepEqual(asked, [0, 0]);
  });

  it('leaves no pin and no follower behind, and marks the slot as used', async () => {
    places.set(0, at.place(0, FIRST, SHARD_BYTES));
    at.arena.setState(0, SlotState.complete);
    await serve(0, SHARD_BYTES);
    await at.get('/');
    assert.equal(at.arena.takeUsed(0), true);
    assert.equal(at.arena.tryLock(0), true);
  });

  /** A client that reads nothing until it is told to. */
  async function slowClient(port: number): Promise<{ socket: Socket; bytes: () => Buffer }> {
    const chunks: Buffer[] = [];
    const socket = connect({ host: '127.0.0.1', port });
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.pause();
    return { socket, bytes: () => Buffer.concat(chunks) };
  }

  it('goes at the pace of the client, holding no pin while that reads nothing', async () => {
    const shards = 20;
    const placeAll = (): void => {
      // The kernel's buffers take megabytes: every shard is the same one.
      const place = at.place(0, FIRST, shards * SHARD_BYTES);
      for (let shard = 0; shard < shards; shard++) places.set(shard, place);
    };
    placeAll();
    const port = await serve(0, shards * SHARD_BYTES);
    const { socket, bytes } = await slowClient(port);
    let last = -1;
    await until(() => {
      const before = last;
      last = sentBytes();
      return last > 0 && last === before;
    }, 'the socket to be full');
    assert.ok(last < (shards - 2) * SHARD_BYTES, `${last} bytes sent to nobody`);
    assert.equal(at.arena.tryLock(0), true);
    placeAll();
    socket.resume();
    await until(() => done === 1, 'the client to be served on');
    socket.end();
    await until(() => bytes().length > shards * SHARD_BYTES, 'the last byte');
    const body = bytes().subarray(bytes().length - shards * SHARD_BYTES);
    for (let shard = 0; shard < shards; shard++)
      assert.ok(
        FIRST.equals(body.subarray(shard * SHARD_BYTES, (shard + 1) * SHARD_BYTES)),
        `shard ${shard}`,
      );
  });

  it('stops for good when the client leaves', async () => {
    places.set(0, at.place(0, FIRST.subarray(0, 1_000), 5_000, { lengthBytes: 5_000 }));
    const port = await serve(0, 5_000);
    const { socket, bytes } = await slowClient(port);
    socket.resume();
    await until(() => bytes().length > 1_000, 'the first part');
    socket.destroy();
    let aborted = false;
    await until(() => (aborted ||= !sender!.look()), 'the abort');
    at.arrives(0, FIRST.subarray(1_000, 5_000));
    assert.deepEqual([sentBytes(), done], [1_000, 0]);
  });

  it('waits for tokens, and sends no faster than they come', async () => {
    places.set(0, at.place(0, FIRST, SHARD_BYTES));
    const seconds = 0.2;
    const throttle = new Throttle(Throttle.createShared(), SHARD_BYTES / 1e6 / seconds);
    await serve(0, SHARD_BYTES, throttle);
    const startMs = performance.now();
    const { body } = await at.get('/');
    const tookMs = performance.now() - startMs;
    assert.ok(body.equals(FIRST));
    // Less what an idle line has saved up.
    assert.ok(tookMs > 700 * seconds, `${tookMs} ms`);
  });
});
