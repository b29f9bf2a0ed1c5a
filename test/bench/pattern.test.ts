import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { PATTERN_PERIOD_BYTES, Pattern } from '../../native-bench/pread/pattern.ts';

describe('bench: the pattern', () => {
  const pattern = new Pattern(42);
  const part = (offsetBytes: number, lengthBytes: number): Buffer => {
    const bytes = Buffer.alloc(lengthBytes);
    pattern.fill(bytes, offsetBytes);
    return bytes;
  };

  it('is the same for any split, and is recognised', () => {
    const whole = part(0, 3 * PATTERN_PERIOD_BYTES);
    fc.assert(
      fc.property(
        fc.nat(2 * PATTERN_PERIOD_BYTES),
        fc.integer({ min: 1, max: PATTERN_PERIOD_BYTES }),
        (offset, length) => {
          assert.ok(whole.subarray(offset, offset + length).equals(part(offset, length)));
          assert.ok(pattern.holds(part(offset, length), offset));
        },
      ),
      { numRuns: 20 },
    );
  });

  it('shows one wrong bit, another shard, another page and another seed', () => {
    const bytes = part(5 * SHARD_BYTES, 70_000);
    assert.ok(!pattern.holds(bytes, 6 * SHARD_BYTES));
    assert.ok(!pattern.holds(bytes, 5 * SHARD_BYTES + 4096));
    assert.ok(!new Pattern(43).holds(bytes, 5 * SHARD_BYTES));
    bytes[69_999]! ^= 1;
    assert.ok(!pattern.holds(bytes, 5 * SHARD_BYTES));
  });
});
