import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FirstReads } from '../../lib/front/first-reads.ts';
import { Arena, SLOT_PAGES } from '../../lib/io/arena.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';

const PAGE_BYTES = SHARD_BYTES / SLOT_PAGES;

describe('front/first-reads', () => {
  let arena: Arena;
  let reads: FirstReads;
  beforeEach(() => {
    arena = Arena.create(2 * SHARD_BYTES);
    arena.begin(0);
    reads = new FirstReads(arena);
  });

  /** Reads the ranges one after the other, as one reader in writes of these lengths. */
  function readAll(slot: number, writes: readonly number[]): number {
    let [atBytes, sum, owns] = [0, 0, false];
    for (const bytes of writes) {
      const first = reads.take(slot, atBytes, atBytes + bytes, owns);
      [atBytes, sum, owns] = [atBytes + bytes, sum + first.bytes, first.ownsLast];
    }
    return sum;
  }

  it('counts every byte of a shard once, however it is cut into writes, and none again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: SHARD_BYTES / 4 }), { minLength: 1, maxLength: 8 }),
        (cuts) => {
          arena.begin(0);
          const writes = [];
          let leftBytes = SHARD_BYTES;
          for (const cut of cuts) {
            // A reader does not stop for less than it takes to claim a page.
            const bytes = Math.max(4096, Math.min(cut, leftBytes - 4096));
            if (bytes >= leftBytes - 4096) break;
            writes.push(bytes);
            leftBytes -= bytes;
          }
          writes.push(leftBytes);
          assert.equal(readAll(0, writes), SHARD_BYTES);
          assert.equal(readAll(0, writes), 0, 'a second reader reads from memory');
        },
      ),
    );
  });

  it('counts small reads in any order once', () => {
    for (const page of [5, 0, 31, 5, 6])
      reads.take(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES, false);
    assert.equal(reads.take(0, 0, SHARD_BYTES, false).bytes, SHARD_BYTES - 4 * PAGE_BYTES);
  });

  it('lets a probe of one byte claim nothing', () => {
    assert.equal(reads.take(0, 0, 1, false).bytes, 1);
    assert.equal(readAll(0, [SHARD_BYTES]), SHARD_BYTES);
    assert.equal(reads.take(0, 0, 1, false).bytes, 0);
  });

  it('counts a blob shorter than a page once', () => {
    arena.setLength(0, 700, 700);
    assert.equal(reads.take(0, 0, 700, false).bytes, 700);
    assert.equal(reads.take(0, 0, 700, false).bytes, 0);
  });

  it('begins anew when the slot is filled again, and keeps slots apart', () => {
    arena.begin(1);
    assert.equal(readAll(0, [SHARD_BYTES]), SHARD_BYTES);
    assert.equal(readAll(1, [SHARD_BYTES]), SHARD_BYTES);
    arena.begin(0);
    assert.equal(readAll(0, [SHARD_BYTES]), SHARD_BYTES);
    assert.equal(readAll(1, [SHARD_BYTES]), 0);
  });
});
