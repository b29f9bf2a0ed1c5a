import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SlabAllocator, extentLength } from '../../lib/cache/allocator.ts';
import type { Extent } from '../../lib/cache/allocator.ts';
import { PAGE_BYTES, SHARD_BYTES } from '../../lib/limits.ts';

function overlaps(a: Extent, b: Extent): boolean {
  return (
    a.offsetBytes < b.offsetBytes + b.lengthBytes && b.offsetBytes < a.offsetBytes + a.lengthBytes
  );
}

describe('cache/allocator', () => {
  it('gives a small blob a page, a whole shard a slot, others the next power of two', () => {
    assert.equal(extentLength(1), 4096);
    assert.equal(extentLength(2000), 4096);
    assert.equal(extentLength(4096), 4096);
    assert.equal(extentLength(4097), 8192);
    assert.equal(extentLength(SHARD_BYTES / 2 + 1), SHARD_BYTES);
    assert.equal(extentLength(SHARD_BYTES), SHARD_BYTES);
  });

  it('puts a small blob into each page of a slot, and one more into the next slot', () => {
    const allocator = new SlabAllocator(2);
    for (let blob = 0; blob < SHARD_BYTES / PAGE_BYTES; blob++)
      assert.ok(allocator.allocate(2048)!.offsetBytes < SHARD_BYTES);
    assert.equal(allocator.usedBytes, SHARD_BYTES);
    assert.ok(allocator.allocate(2048)!.offsetBytes >= SHARD_BYTES);
    assert.equal(allocator.allocate(SHARD_BYTES), undefined);
  });

  it('joins cells given back into a whole slot again', () => {
    const allocator = new SlabAllocator(1);
    const cells = [100, 5000, 70_000, 400_000].map((bytes) => allocator.allocate(bytes)!);
    assert.equal(allocator.allocate(SHARD_BYTES), undefined);
    for (const cell of cells) allocator.release(cell);
    assert.deepEqual(allocator.allocate(SHARD_BYTES), { offsetBytes: 0, lengthBytes: SHARD_BYTES });
  });

  it('refuses claims out of the slab, askew, or on what is taken', () => {
    const allocator = new SlabAllocator(2);
    assert.equal(allocator.claim({ offsetBytes: 0, lengthBytes: 8192 }), true);
    assert.equal(allocator.claim({ offsetBytes: 4096, lengthBytes: 4096 }), false);
    assert.equal(allocator.claim({ offsetBytes: 0, lengthBytes: 16_384 }), false);
    assert.equal(allocator.claim({ offsetBytes: 0, lengthBytes: SHARD_BYTES }), false);
    assert.equal(allocator.claim({ offsetBytes: 4096, lengthBytes: 8192 }), false);
    assert.equal(allocator.claim({ offsetBytes: 2 * SHARD_BYTES, lengthBytes: 4096 }), false);
    assert.equal(allocator.claim({ offsetBytes: SHARD_BYTES, lengthBytes: 3 * PAGE_BYTES }), false);
    assert.equal(
      allocator.claim({ offsetBytes: SHARD_BYTES, lengthBytes: 2 * SHARD_BYTES }),
      false,
    );
    assert.equal(allocator.claim({ offsetBytes: SHARD_BYTES, lengthBytes: SHARD_BYTES }), true);
    assert.equal(allocator.claim({ offsetBytes: SHARD_BYTES, lengthBytes: 4096 }), false);
    assert.equal(allocator.usedBytes, SHARD_BYTES + 8192);
  });

  it('never gives out a byte twice nor past the end, and counts what is out', () => {
    const step = fc.record({
      lengthBytes: fc.integer({ min: 1, max: SHARD_BYTES }),
      shift: fc.integer({ min: 0, max: 12 }),
      release: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const allocator = new SlabAllocator(4);
        const out: Extent[] = [];
        for (const { lengthBytes, shift, release } of steps) {
          const extent = allocator.allocate(Math.max(1, lengthBytes >> shift));
          if (extent === undefined || release % 3 === 0) {
            const victim = out.splice(release % Math.max(1, out.length), 1)[0];
            if (victim !== undefined) allocator.release(victim);
          }
          if (extent === undefined) continue;
          assert.ok(extent.offsetBytes + extent.lengthBytes <= 4 * SHARD_BYTES);
          assert.equal(extent.offsetBytes % extent.lengthBytes, 0);
          assert.ok(!out.some((other) => overlaps(other, extent)));
          out.push(extent);
          assert.equal(
            allocator.usedBytes,
            out.reduce((sum, each) => sum + each.lengthBytes, 0),
          );
        }
        const again = new SlabAllocator(4);
        for (const extent of out) assert.equal(again.claim(extent), true);
        assert.equal(again.usedBytes, allocator.usedBytes);
        for (const extent of out) allocator.release(extent);
        for (let slot = 0; slot < 4; slot++) assert.ok(allocator.allocate(SHARD_BYTES));
      }),
    );
  });
});
