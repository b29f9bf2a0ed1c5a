import assert from 'node:assert/strict';
import { SlotSource, SlotState } from '../../../lib/io/arena.ts';
import { FRESH_SLOT_MS, SAVE_PATIENCE_MS } from '../../../lib/control/limits.ts';
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

describe('control/loader with a disk', () => {
  let at: LoaderFixture;
  beforeEach(() => (at = loaderFixture({ disk: true, slots: 2 })));

  it('drops a stored blob when its source reports another size, and reads it anew', async () => {
    at.store.put(KEY, 0, 900, 900);
    assert.ok(at.loader.sized(KEY, 700, 'upstream'));
    assert.deepEqual(at.store.dropped, [KEY]);
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    assert.equal(at.fills.length, 1);
    await at.deliver(0, 700);
    assert.equal(at.facts.totalOf(KEY), 700);
  });

  it("drops nothing at a node's word, and keeps no shard that its source sizes anew", async () => {
    at.store.put(KEY, 0, 900, 900);
    assert.ok(at.loader.sized(KEY, 900, 'upstream'));
    assert.equal(at.loader.sized(KEY, 700, 'heard'), false);
    assert.equal(at.loader.sized(KEY, 700, 'owner'), false);
    assert.deepEqual(at.store.dropped, []);
    const reader = new Listener();
    at.loader.want(KEY, 1, OPTIONS, reader);
    await settled();
    at.arena.setSource(at.loader.find(KEY, 1)!.slot, SlotSource.peer);
    await at.deliver(1, 700);
    assert.deepEqual(
      reader.errors.map(({ code }) => code),
      ['CHECKSUM_MISMATCH'],
    );
    assert.equal(at.loader.find(KEY, 1), undefined);
  });

  it('reads from disk before it asks the swarm', async () => {
    at.store.put(KEY, 0, 900, 900);
    const listener = new Listener();
    at.loader.want(KEY, 0, OPTIONS, listener);
    await settled();
    const { slot } = at.store.loads[0]!;
    assert.deepEqual(listener.places, [{ slot, cold: true }]);
    assert.deepEqual(
      [at.arena.length(slot), at.arena.total(slot), at.arena.released(slot)],
      [900, 900, 0],
    );
    assert.equal(at.arena.source(slot), SlotSource.disk);
    at.clock.advance(25);
    at.store.loads[0]!.end('ok');
    await settled();
    assert.equal(at.arena.released(slot), 900);
    assert.deepEqual([at.fills.length, at.store.saves.length], [0, 0]);
    assert.deepEqual(at.completed, [{ name: `${KEY}/0`, fromDisk: true }]);
    assert.deepEqual(at.looked, ['disk']);
    assert.deepEqual(at.filed, [['fileread', 0, 900, 25]]);
  });

  it('asks the swarm if the disk has lost the shard, and queues nobody twice', async () => {
    at.store.put(KEY, 0);
    const listener = new Listener();
    at.loader.want(KEY, 0, OPTIONS, listener);
    await settled();
    at.store.loads[0]!.end('miss');
    await settled();
    assert.equal(at.fills.length, 1);
    assert.equal(listener.places.length, 1);
    assert.deepEqual(at.filed, [['fileread', 0, -1, 0]]);
  });

  it('stops at a miss when nobody wants the shard any more', async () => {
    at.store.put(KEY, 0);
    const listener = new Listener();
    const resident = at.loader.want(KEY, 0, OPTIONS, listener);
    await settled();
    at.loader.drop(resident, listener);
    at.store.loads[0]!.end('miss');
    await settled();
    assert.deepEqual([at.fills.length, at.residency.usedSlots], [0, 0]);
  });

  for (const [from, source, isGivenUp] of [
    ['another node', SlotSource.peer, true],
    ['the origin', SlotSource.origin, false],
  ] as const) {
    it(`${isGivenUp ? 'gives up' : 'keeps'} bytes of ${from} that wait for the disk`, async () => {
      // The disk is slow, and memory is short.
      for (const shard of [0, 1]) {
        const listener = new Listener();
        const resident = at.loader.want(KEY, shard, OPTIONS, listener);
        await settled();
        at.arena.setSource(resident.slot, source);
        await at.deliver(shard, 4 * SHARD_BYTES);
        at.loader.drop(resident, listener);
      }
      const next = new Listener();
      at.loader.want(KEY, 2, OPTIONS, next);
      at.clock.advance(SAVE_PATIENCE_MS - 10);
      await settled();
      assert.deepEqual([next.places.length, at.loader.has(KEY, 0)], [0, true]);
      at.clock.advance(20);
      await settled();
      assert.equal(next.places.length, isGivenUp ? 1 : 0);
      assert.equal(at.loader.has(KEY, 0) && at.loader.has(KEY, 1), !isGivenUp);
      at.store.saves[0]!.end();
      await settled();
      at.clock.advance(FRESH_SLOT_MS + 10);
      await settled();
      assert.equal(next.places.length, 1);
    });
  }

  it('takes last what is being read, and what a digest is about to read', async () => {
    const [read, hashed] = [new Listener(), new Listener()];
    at.loader.want(KEY, 0, OPTIONS, read);
    const second = at.loader.want(KEY, 1, OPTIONS, hashed);
    await settled();
    for (const shard of [0, 1]) await at.deliver(shard, 4 * SHARD_BYTES);
    for (const save of at.store.saves) save.end();
    await settled();
    at.loader.drop(second, hashed);
    at.clock.advance(FRESH_SLOT_MS + 1);
    at.loader.want(KEY, 2, OPTIONS, new Listener());
    await settled();
    assert.deepEqual(
      [at.loader.find(KEY, 0) !== undefined, at.loader.find(KEY, 1) !== undefined],
      [true, false],
    );
    await at.deliver(2, 4 * SHARD_BYTES);
    at.store.saves[2]!.end();
    await settled();
    at.loader.drop(at.loader.find(KEY, 0)!, read);
    at.awaited.add(`${KEY}/0`);
    at.clock.advance(FRESH_SLOT_MS + 1);
    at.loader.drop(at.loader.find(KEY, 2)!, [...at.loader.find(KEY, 2)!.interests][0]!);
    at.loader.want(KEY, 3, OPTIONS, new Listener());
    await settled();
    assert.deepEqual(
      [at.loader.find(KEY, 0) !== undefined, at.loader.find(KEY, 2) !== undefined],
      [true, false],
    );
  });

  it('does not let go of a slot before it is written', async () => {
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    await at.deliver(0);
    const { slot } = at.fills[0]!.resident;
    assert.equal(at.arena.state(slot), SlotState.filling);
    assert.equal(at.store.saves.length, 1);
    at.clock.advance(FRESH_SLOT_MS * 10);
    at.loader.want(OTHER_KEY, 1, OPTIONS, new Listener());
    at.loader.want(OTHER_KEY, 2, OPTIONS, new Listener());
    await settled();
    assert.equal(at.loader.find(KEY, 0)?.phase, 'complete');
    at.store.saves[0]!.end();
    await settled();
    assert.equal(at.arena.state(slot), SlotState.complete);
    at.clock.advance(FRESH_SLOT_MS + 10);
    await settled();
    assert.equal(at.loader.find(KEY, 0), undefined, 'evicted for the third');
  });

  it('leaves a slot alone whose write ends after it was given to another shard', async () => {
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    await at.deliver(0);
    const { slot } = at.fills[0]!.resident;
    at.loader.purge(KEY);
    at.loader.want(OTHER_KEY, 3, OPTIONS, new Listener());
    await settled();
    assert.equal(at.fills[1]!.resident.slot, slot);
    at.store.saves[0]!.end();
    await settled();
    assert.equal(at.arena.state(slot), SlotState.filling);
  });

  it('says what is stored without a read, and counts a use of what memory serves', async () => {
    at.store.put(KEY, 0, 900, 900);
    assert.equal(at.loader.has(KEY, 0), true);
    assert.deepEqual(at.loader.stored(KEY, 0), {
      totalBytes: 900,
      lengthBytes: 900,
      checksum: CHECKSUM,
    });
    assert.equal(at.loader.stored(KEY, 1), undefined);
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    await settled();
    at.store.loads[0]!.end('ok');
    await settled();
    assert.deepEqual(at.store.touched, []);
    at.loader.want(KEY, 0, OPTIONS, new Listener());
    assert.deepEqual(at.store.touched, [`${KEY}/0`]);
  });

  it('purges a blob from the disk as well', async () => {
    at.store.put(KEY, 7, 8 * SHARD_BYTES);
    at.loader.purge(KEY);
    assert.deepEqual(at.store.dropped, [KEY]);
    assert.equal(at.loader.has(KEY, 7), false);
  });
});
