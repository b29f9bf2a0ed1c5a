import assert from 'node:assert/strict';
import { ShoalError } from '../../../lib/errors.ts';
import { SlotSource, SlotState } from '../../../lib/io/arena.ts';
import { FRESH_SLOT_MS } from '../../../lib/control/limits.ts';
import { SHARD_BYTES } from '../../../lib/limits.ts';
import {
  CHECKSUM,
  KEY,
  Listener,
  OTHER_KEY,
  OPTIONS,
  loaderFixture,
  settled,
  type LoaderFixture,
} from '../fixture.ts';

describe('control/loader', () => {
  let at: LoaderFixture;
  beforeEach(() => (at = loaderFixture()));

  it('fetches a shard once for all who want it, and places them all in the same slot', async () => {
    const [first, second] = [new Listener(), new Listener()];
    at.loader.want(KEY, 0, OPTIONS, first);
    at.loader.want(KEY, 0, OPTIONS, second);
    await settled();
    assert.equal(at.fills.length, 1);
    at.arena.setSource(at.fills[0]!.resident.slot, SlotSource.peer);
    const { slot } = at.fills[0]!.resident;
    assert.deepEqual(
      [first.places, second.places],
      [[{ slot, cold: true }], [{ slot, cold: true }]],
    );
    await at.deliver(0, 700);
    const late = new Listener();
    at.loader.want(KEY, 0, OPTIONS, late);
    assert.deepEqual(late.places, [{ slot, cold: false }]);
    assert.deepEqual(at.looked, ['joined', 'peer', 'arena']);
    assert.equal(at.fills.length, 1);
  });

  it("publishes a complete shard whole, and its blob's size", async () => {
    at.loader.want(KEY, 1, OPTIONS, new Listener());
    await settled();
    await at.deliver(1, SHARD_BYTES + 700);
    const { slot } = at.fills[0]!.resident;
    assert.deepEqual(
      [
        at.arena.length(slot),
        at.arena.total(slot),
        at.arena.received(slot),
        at.arena.released(slot),
      ],
      [700, SHARD_BYTES + 700, 700, 700],
    );
    assert.equal(at.arena.state(slot), SlotState.complete);
    assert.equal(at.facts.totalOf(KEY), SHARD_BYTES + 700);
    assert.equal(at.loader.find(KEY, 1)?.checksum, CHECKSUM);
    assert.deepEqual(at.completed, [{ name: `${KEY}/1`, fromDisk: false }]);
  });

  it("offers a later client's origin to the fetch: the first may be refused", async () => {
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    const other = { ...OPTIONS, requestId: 'request-2' };
    at.loader.want(KEY, 0, other, new Listener());
    assert.deepEqual(at.fills[0]!.offered, [other]);
  });

  it('gives up a shard on its way when the last who wanted it has left, not before', async () => {
    const [first, second] = [new Listener(), new Listener()];
    const resident = at.loader.want(KEY, 0, OPTIONS, first);
    at.loader.want(KEY, 0, OPTIONS, second);
    await settled();
    at.loader.drop(resident, first);
    assert.equal(at.fills[0]!.abandoned, false);
    at.loader.drop(resident, second);
    assert.equal(at.fills[0]!.abandoned, true);
    assert.equal(at.loader.find(KEY, 0), undefined);
    assert.equal(at.residency.usedSlots, 1, 'the slot is not free while something may write to it');
    at.fills[0]!.failed(new ShoalError('CANCELLED', 'nobody wants it'));
    assert.equal(at.residency.usedSlots, 0);
  });

  it('gives up a shard that waits for memory, and its place in the queue is harmless', async () => {
    const small = loaderFixture({ slots: 1 });
    small.loader.want(KEY, 0, OPTIONS, new Listener());
    const unwanted = new Listener();
    const waiting = small.loader.want(KEY, 1, OPTIONS, unwanted);
    const wanted = new Listener();
    small.loader.want(KEY, 2, OPTIONS, wanted);
    await settled();
    small.loader.drop(waiting, unwanted);
    small.fills[0]!.failed(new ShoalError('ORIGIN_BROKEN', 'gone'));
    await settled();
    small.clock.advance(10);
    await settled();
    assert.deepEqual(
      small.fills.map((fill) => fill.resident.shard),
      [0, 2],
    );
    assert.deepEqual([unwanted.places.length, wanted.places.length], [0, 1]);
  });

  it('waits a grace before it gives up, in which somebody may come back', async () => {
    const [first, second] = [new Listener(), new Listener()];
    const resident = at.loader.want(KEY, 0, OPTIONS, first);
    await settled();
    at.loader.drop(resident, first, 1_000);
    at.clock.advance(999);
    assert.equal(at.loader.want(KEY, 0, OPTIONS, second), resident);
    at.clock.advance(10);
    assert.equal(at.fills[0]!.abandoned, false);
    at.loader.drop(resident, second, 1_000);
    at.clock.advance(1_000);
    assert.equal(at.fills[0]!.abandoned, true);
  });

  it('keeps a shard whose bytes are all here, although its end is not reported yet', async () => {
    const listener = new Listener();
    const resident = at.loader.want(KEY, 0, OPTIONS, listener);
    await settled();
    at.arena.setLength(resident.slot, 700, 700);
    at.arena.setReceived(resident.slot, 700);
    at.loader.drop(resident, listener);
    assert.equal(at.fills[0]!.abandoned, false);
    await at.deliver(0, 700);
    assert.equal(at.loader.has(KEY, 0), true);
  });

  it('reports a failure to all, frees the slot, and retries for the next client', async () => {
    const [first, second] = [new Listener(), new Listener()];
    at.loader.want(KEY, 0, OPTIONS, first);
    at.loader.want(KEY, 0, OPTIONS, second);
    await settled();
    const { slot, generation } = at.fills[0]!.resident;
    at.fills[0]!.failed(new ShoalError('ORIGIN_REFUSED', 'no', { status: 404 }));
    assert.deepEqual(
      [first, second].map((each) => each.errors[0]?.status),
      [404, 404],
    );
    assert.equal(at.residency.usedSlots, 0);
    assert.equal(at.arena.tryPin(slot, generation), false);
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    assert.equal(at.fills.length, 2);
  });

  it('tells who waits for memory when none comes free in time', async () => {
    const full = loaderFixture({ slots: 1 });
    full.loader.want(KEY, 0, OPTIONS, new Listener());
    const listener = new Listener();
    full.loader.want(KEY, 1, OPTIONS, listener);
    await settled();
    full.clock.advance(60_000);
    await settled();
    assert.equal(listener.errors[0]?.code, 'OVERLOADED');
    assert.equal(full.loader.find(KEY, 1), undefined);
  });

  it('keeps a shard that was given up but completed, unless another try has begun', async () => {
    for (const again of [false, true]) {
      const each = loaderFixture();
      const listener = new Listener();
      const resident = each.loader.want(KEY, 0, OPTIONS, listener);
      await settled();
      each.loader.drop(resident, listener);
      if (again) each.loader.want(KEY, 0, OPTIONS, new Listener());
      await settled();
      each.fills[0]!.done({ lengthBytes: 700, totalBytes: 700, checksum: CHECKSUM });
      await settled();
      assert.equal(each.loader.has(KEY, 0), !again);
      assert.equal(each.residency.usedSlots, 1);
    }
  });

  it('counts a late leaver to the failed try of a shard, not to the next one', async () => {
    // A fetch may fail within the call that begins it: an owner without a way to the origin.
    const abandoned: number[] = [];
    let calls = 0;
    const sync = loaderFixture({
      fill: (_resident, _way, _done, failed) => {
        const call = ++calls;
        if (call === 1) failed(new ShoalError('ORIGIN_UNREACHABLE', 'no way'));
        return { abandon: () => void abandoned.push(call), offer: () => undefined };
      },
    });
    const first = new Listener();
    const resident = sync.loader.want(KEY, 0, OPTIONS, first);
    await settled();
    assert.equal(first.errors.length, 1);
    sync.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    assert.equal(calls, 2);
    sync.loader.drop(resident, first);
    assert.deepEqual(abandoned, []);
  });

  it('keeps a new try at a shard whose earlier try, given up, ends only now', async () => {
    const listener = new Listener();
    const resident = at.loader.want(KEY, 0, OPTIONS, listener);
    await settled();
    at.loader.drop(resident, listener);
    const again = at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    at.fills[0]!.failed(new ShoalError('CANCELLED', 'given up'));
    assert.equal(at.loader.find(KEY, 0), again);
    assert.equal(at.residency.usedSlots, 1);
  });

  it('forgets an evicted shard', async () => {
    const small = loaderFixture({ slots: 1 });
    small.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    await small.deliver(0);
    small.clock.advance(FRESH_SLOT_MS + 1);
    small.loader.want(OTHER_KEY, 0, OPTIONS, new Listener());
    assert.equal(small.loader.find(KEY, 0), undefined);
    assert.equal(small.loader.has(KEY, 0), false);
  });

  it('purges a blob and nothing else', async () => {
    for (const [key, shard] of [
      [KEY, 0],
      [KEY, 1],
      [OTHER_KEY, 5],
    ] as const) {
      at.loader.want(key, shard, OPTIONS, new Listener());
      await settled();
      await at.deliver(shard, 6 * SHARD_BYTES);
    }
    const { slot, generation } = at.loader.find(KEY, 0)!;
    at.loader.purge(KEY);
    assert.deepEqual(
      [at.loader.has(KEY, 0), at.loader.has(KEY, 1), at.loader.has(OTHER_KEY, 5)],
      [false, false, true],
    );
    assert.equal(at.arena.tryPin(slot, generation), false);
    assert.equal(at.residency.usedSlots, 1);
  });

  it('lists what is on its way', async () => {
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    at.loader.want(KEY, 1, OPTIONS, new Listener());
    await settled();
    await at.deliver(0);
    assert.deepEqual(
      [...at.loader.residents()].map(({ shard, phase }) => [shard, phase]),
      [
        [0, 'complete'],
        [1, 'loading'],
      ],
    );
  });
});
