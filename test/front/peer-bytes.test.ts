import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { SlotSource } from '../../lib/io/arena.ts';
import { readFromPeer } from '../../lib/workers/peer/read.ts';
import { until } from '../telemetry/until.ts';
import { readJob, transferTools } from '../workers/peer/peer-server.ts';
import { PEER_HOLD_MS, SHARD_BYTES } from '../../lib/limits.ts';
import { askPath, CHECKSUM, PeerFrontFixture, SELF, SMALL } from './peer-fixture.ts';

const SHARD = randomBytes(SHARD_BYTES);

describe('front/peer-answer: bytes of a shard', () => {
  let at: PeerFrontFixture;
  beforeEach(async () => {
    at = new PeerFrontFixture();
    await at.listen();
  });
  afterEach(() => at.front.close());

  it('sends received bytes from the requested offset, before clients may have them', async () => {
    const answer = at.get(askPath({ fromBytes: 100 }));
    const { id } = await at.front.hears('ask');
    const place = at.front.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
    at.granted(id, place, { cold: true });
    at.front.arena.setSource(0, SlotSource.origin);
    at.front.arena.setLength(0, 1_000, 1_000);
    for (const [from, to] of [
      [0, 50],
      [50, 300],
      [300, 1_000],
    ] as const) {
      at.front.arena.bytes(0, from, to).set(SMALL.subarray(from, to));
      at.front.arena.setReceived(0, to);
      at.front.doorbells.ringAll();
      await until(() => at.sentBytes === Math.max(0, to - 100), `bytes up to ${to}`);
    }
    assert.ok((await answer).body.equals(SMALL.subarray(100)));
    assert.deepEqual(new Set(at.tiers.map(([tier]) => tier)), new Set(['origin']));
  });

  it('sends owned bytes to owners and roots at once, others only when released', async () => {
    for (const role of ['owner', 'root'] as const) {
      const answer = at.get(askPath({ role }));
      const { id } = await at.front.hears('ask');
      const place = at.front.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 });
      at.granted(id, place);
      at.tiers.length = 0;
      at.front.arena.setLength(0, 1_000, 1_000);
      const arrive = async (to: number, sentBytes: number): Promise<void> => {
        at.front.arena.bytes(0, 0, to).set(SMALL.subarray(0, to));
        at.front.arena.setReceived(0, to);
        at.front.doorbells.ringAll();
        let turns = 0;
        await until(() => at.sentBytes === sentBytes && ++turns > 4, `${sentBytes} bytes of ${to}`);
      };
      at.front.arena.setOwned(0, true);
      await arrive(300, 300);
      at.front.arena.setOwned(0, false);
      await arrive(1_000, 300);
      at.front.arena.setReleased(0, 1_000);
      at.front.doorbells.ringAll();
      assert.ok((await answer).body.equals(SMALL));
    }
  });

  it('sends a child that wants checked bytes only those, and says so', async () => {
    const answer = at.get(askPath({ checked: true }));
    const { id } = await at.front.hears('ask');
    at.granted(id, at.front.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    at.front.arena.setLength(0, 1_000, 1_000);
    at.front.arena.bytes(0, 0, 1_000).set(SMALL);
    at.front.arena.setReceived(0, 1_000);
    at.front.doorbells.ringAll();
    let turns = 0;
    await until(() => ++turns > 4, 'the front to look');
    assert.equal(at.sentBytes, 0);
    at.front.arena.setReleased(0, 1_000);
    at.front.doorbells.ringAll();
    const { headers, body } = await answer;
    assert.ok(body.equals(SMALL));
    assert.equal(headers['shoal-checked'], '1');
  });

  it('sends only the checksum to a node that has all the bytes', async () => {
    const answer = at.get(askPath({ fromBytes: 1_000 }));
    at.granted((await at.front.hears('ask')).id, at.front.place(0, SMALL, 1_000), {
      checksum: CHECKSUM,
    });
    const { status, headers } = await answer;
    assert.deepEqual(
      [status, headers['content-length'], headers['shoal-checksum']],
      [200, '0', CHECKSUM],
    );
  });

  it('answers "busy" if it has no byte after PEER_HOLD_MS', async () => {
    const startMs = performance.now();
    // A request that has its first byte continues, however slow it is.
    const slow = at.get(askPath({ shard: 1 }));
    at.granted(
      (await at.front.hears('ask')).id,
      at.front.place(1, SMALL.subarray(0, 10), 1_000, { lengthBytes: 1_000 }),
    );
    const answer = at.get(askPath());
    const { id } = await at.front.hears('ask');
    at.granted(id, at.front.place(0, Buffer.alloc(0), 0, { lengthBytes: -1 }));
    const { status, body } = await answer;
    assert.deepEqual([status, JSON.parse(body.toString())], [503, { kind: 'busy', retryMs: 1 }]);
    assert.ok(performance.now() - startMs >= PEER_HOLD_MS - 5);
    assert.equal((await at.front.hears('close')).whole, false);
    at.front.arrives(1, SMALL.subarray(10));
    assert.ok((await slow).body.equals(SMALL));
    assert.deepEqual(at.answered, ['data', 'busy']);
  });

  it('closes the connection if the slot is reused during the answer', async () => {
    const answer = at.get(askPath());
    at.granted(
      (await at.front.hears('ask')).id,
      at.front.place(0, SHARD.subarray(0, 5_000), SHARD_BYTES, { lengthBytes: SHARD_BYTES }),
    );
    await until(() => at.tiers.length > 0, 'the first bytes');
    at.front.place(0, SMALL, 1_000);
    at.front.doorbells.ringAll();
    await assert.rejects(answer);
    assert.equal((await at.front.hears('close')).whole, false);
    assert.equal(at.sentBytes, 5_000);
  });

  it('goes on from another slot if that of a whole shard is reused during the answer', async () => {
    const { turn } = at.front;
    const take = turn.take.bind(turn);
    turn.take = (bytes) => take(Math.min(bytes, 64 * 1024));
    // A part is sent when memory runs short.
    at.onSent = () => {
      if (at.tiers.length === 2) at.front.place(0, SMALL, 1_000);
    };
    const answer = at.get(askPath({ role: 'owner' }));
    const { id } = await at.front.hears('ask');
    at.granted(id, at.front.place(0, SHARD, SHARD_BYTES));
    const { sentBytes } = await at.front.hears('close');
    const again = await at.front.hears('ask');
    assert.deepEqual([again.query.role, again.query.shard], ['parent', 0]);
    at.granted(again.id, at.front.place(1, SHARD, SHARD_BYTES));
    assert.ok((await answer).body.equals(SHARD));
    const last = await at.front.hears('close');
    assert.deepEqual([last.whole, sentBytes + last.sentBytes], [true, SHARD_BYTES]);
  });

  it('is read by lib/workers/peer/read.ts over one kept connection', async () => {
    const tools = transferTools();
    for (const [index, role] of (['owner', 'parent', 'root'] as const).entries()) {
      const to = askPath({ role });
      const reading = readFromPeer(
        readJob(
          { host: '127.0.0.1', port: at.port },
          { path: to, headers: at.envelope.headers(SELF, to) },
        ),
        tools,
      );
      const { id } = await at.front.hears('ask');
      at.granted(id, at.front.place(index % 2, SHARD, 3 * SHARD_BYTES), { checksum: CHECKSUM });
      const result = await reading;
      assert.ok(
        result.kind === 'data' &&
          result.claimedChecksum === CHECKSUM &&
          result.totalBytes === 3 * SHARD_BYTES,
      );
      assert.ok(SHARD.equals(tools.arena.bytes(0)));
    }
  });
});
