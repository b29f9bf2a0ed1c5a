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

  it('cancels the attempt named and those before it, not the next', () => {
    const arena = Arena.create(SHARD_BYTES);
    arena.tryLock(0);
    arena.begin(0);
    arena.cancel(0, 2);
    assert.deepEqual([1, 2, 3].map((attempt) => arena.cancelled(0, attempt)), [true, true, false]);
  });
});
