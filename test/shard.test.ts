import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SHARD_BYTES } from '../lib/limits.ts';
import { shardCount, shardLength } from '../lib/shard.ts';

describe('shard', () => {
  it('cuts a blob into shards that add up to it, only the last of them short', () => {
    fc.assert(
      fc.property(fc.nat(40 * SHARD_BYTES), (totalBytes) => {
        const count = shardCount(totalBytes);
        let sum = 0;
        for (let shard = 0; shard < count; shard++) {
          const lengthBytes = shardLength(totalBytes, shard);
          if (shard < count - 1) assert.equal(lengthBytes, SHARD_BYTES);
          sum += lengthBytes;
        }
        assert.equal(sum, totalBytes);
        assert.ok(shardLength(totalBytes, count) <= 0);
      }),
    );
  });

  it('gives an empty blob one empty shard', () => {
    assert.deepEqual([0, 1, SHARD_BYTES, SHARD_BYTES + 1].map(shardCount), [1, 1, 1, 2]);
    assert.equal(shardLength(0, 0), 0);
  });

  it('does not overflow past 2^31', () => {
    assert.equal(shardLength(2 ** 24 * SHARD_BYTES + 7, 2 ** 24), 7);
  });
});
