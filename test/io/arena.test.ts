import assert from 'node:assert/strict';
import { Arena, SlotState } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

describe('io/arena', () => {
  it('keeps a pinned slot from being locked, and a locked one from being pinned', () => {
    const arena = Arena.create(4 * SHARD_BYTES);
    assert.equal(arena.slotCount, 4);
    assert.equal(arena.tryLock(2), true);
    const generation = arena.begin(2);
    assert.equal(arena.state(2), SlotState.filling);
    assert.equal(arena.tryPin(2, generation), true);
    assert.equal(arena.tryLock(2), false);
    arena.unpin(2);
    assert.equal(arena.tryLock(2), true);
    assert.equal(arena.tryPin(2, generation), false);
  });

  it('refuses a reader whose generation has gone, and leaves no pin behind', () => {
    const arena = Arena.create(SHARD_BYTES);
    arena.tryLock(0);
    const first = arena.begin(0);
    arena.tryLock(0);
    const second = arena.begin(0);
    assert.notEqual(first, second);
    assert.equal(arena.tryPin(0, first), false);
    assert.equal(arena.tryLock(0), true);
  });

  it('publishes sizes past 2^31 whole', () => {
    const arena = Arena.create(SHARD_BYTES);
    arena.tryLock(0);
    arena.begin(0);
    assert.equal(arena.length(0), -1);
    arena.setLength(0, 1000, 20 * 2 ** 30 + 1000);
    assert.equal(arena.length(0), 1000);
    assert.equal(arena.total(0), 20 * 2 ** 30 + 1000);
  });

  it('lets clients read a slice that came before what lies below it, and no byte around it', () => {
    const arena = Arena.create(SHARD_BYTES);
    arena.tryLock(0);
    arena.begin(0);
    arena.setReleased(0, 100);
    arena.setAhead(0, 1_000, 1_500);
    assert.deepEqual(
      [0, 99, 1_000, 1_499].map((at) => arena.sendableTo(0, at)),
      [100, 100, 1_500, 1_500],
    );
    for (const at of [100, 999, 1_500, 2_000]) assert.ok(arena.sendableTo(0, at) <= at, `${at}`);
    arena.setAhead(0, 0, 0);
    assert.ok(arena.sendableTo(0, 1_000) <= 1_000);
    arena.setAhead(0, 1_000, 1_500);
    arena.tryLock(0);
    arena.begin(0);
    assert.ok(arena.sendableTo(0, 1_000) <= 1_000, 'not what the slot held before');
  });

  it('cancels the attempt named and those before it, not the next', () => {
    const arena = Arena.create(SHARD_BYTES);
    arena.tryLock(0);
    arena.begin(0);
    arena.cancel(0, 2);
    assert.deepEqual(
      [1, 2, 3].map((attempt) => arena.cancelled(0, attempt)),
      [true, true, false],
    );
  });
});
