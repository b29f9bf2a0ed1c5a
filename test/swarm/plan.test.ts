import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { shardAt, shardCount, shardLengthBytes, slices } from '../../lib/swarm/plan.ts';

const size = fc.oneof(
  fc.nat(5 * SHARD_BYTES),
  fc.integer({ min: 0, max: 2 ** 45 }),
  fc.nat(64).map((count) => count * SHARD_BYTES),
);

describe('swarm/plan', () => {
  it('cuts a blob into shards that add up to it, only the last of them short', () => {
    fc.assert(
      fc.property(fc.nat(40 * SHARD_BYTES), (totalBytes) => {
        const count = shardCount(totalBytes);
        let sum = 0;
        for (let index = 0; index < count; index++) {
          const lengthBytes = shardLengthBytes(index, totalBytes);
          if (index < count - 1) assert.equal(lengthBytes, SHARD_BYTES);
          sum += lengthBytes;
        }
        assert.equal(sum, totalBytes);
        assert.equal(shardLengthBytes(count, totalBytes), 0);
      }),
    );
  });

  it('has its edges right', () => {
    assert.deepEqual([0, 1, SHARD_BYTES, SHARD_BYTES + 1].map(shardCount), [1, 1, 1, 2]);
    assert.deepEqual([0, SHARD_BYTES - 1, SHARD_BYTES].map(shardAt), [0, 0, 1]);
    assert.equal(shardAt(2 ** 45), 2 ** 24, 'past 2^31 without overflow');
    assert.equal(shardLengthBytes(0, 0), 0);
  });

  it('covers a range exactly once, in order, one slice a shard', () => {
    fc.assert(
      fc.property(size, fc.nat(20 * SHARD_BYTES), (fromBytes, lengthBytes) => {
        const plan = slices(fromBytes, fromBytes + lengthBytes);
        let at = fromBytes;
        for (const { shard, fromBytes: from, toBytes: to } of plan) {
          assert.equal(shard * SHARD_BYTES + from, at);
          assert.ok(from >= 0 && from < to && to <= SHARD_BYTES);
          at += to - from;
        }
        assert.equal(at, fromBytes + lengthBytes);
        assert.equal(new Set(plan.map(({ shard }) => shard)).size, plan.length);
      }),
    );
  });
});
