import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AHEAD_SMALL_READS_SHARDS_MAX, SHARD_BYTES } from '../../lib/limits.ts';
import { ReadPattern } from '../../lib/swarm/pattern.ts';
import { Random } from '../../native-bench/sim/random.ts';

const MIB = 1024 * 1024;
const READ_BYTES = 64 * 1024;
const TOTAL_BYTES = 2_048 * MIB;

/**
 * A front and its control: what is read comes to the pattern only where the front does not know the
 * shard.
 */
class Reader {
  readonly pattern = new ReadPattern();
  readonly #known = new Set<number>();
  /** Shards brought ahead, and those of them that were read before anybody asked. */
  readonly ahead = new Set<number>();
  readonly hits = new Set<number>();
  readonly misses: number[] = [];
  readonly #totalBytes: number;

  constructor(totalBytes = TOTAL_BYTES) {
    this.#totalBytes = totalBytes;
  }

  read(startBytes: number): number[] {
    const shard = Math.floor(startBytes / SHARD_BYTES);
    if (this.#known.has(shard)) return [];
    this.#known.add(shard);
    if (this.ahead.has(shard)) this.hits.add(shard);
    else this.misses.push(shard);
    const wanted = this.pattern.read(startBytes, this.#totalBytes);
    for (const index of wanted) this.ahead.add(index);
    return wanted;
  }

  get wasted(): number {
    return this.ahead.size - this.hits.size;
  }
}

describe('swarm/pattern', () => {
  it('reads ahead of small reads in order, more with each shard, within bound and blob', () => {
    const reader = new Reader(40 * SHARD_BYTES);
    const wanted: number[][] = [];
    for (let at = 0; at < 40 * SHARD_BYTES; at += READ_BYTES)
      if (at % SHARD_BYTES === 0) wanted.push(reader.read(at));
    assert.deepEqual(wanted.slice(0, 5), [[], [2], [3, 4], [5, 6, 7], [8, 9, 10, 11, 12]]);
    assert.ok(
      wanted.every((shards, at) =>
        shards.every(
          (index) => index > at && index < 40 && index <= at + AHEAD_SMALL_READS_SHARDS_MAX,
        ),
      ),
    );
    assert.deepEqual([reader.misses, reader.wasted], [[0, 1], 0]);
  });

  it('brings no shard ahead twice', () => {
    const reader = new Reader();
    const all: number[] = [];
    for (let shard = 0; shard < 200; shard++) all.push(...reader.read(shard * SHARD_BYTES));
    assert.equal(new Set(all).size, all.length);
  });

  it('learns reads in order from any start on, of any size, among random ones', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 400 }),
        fc.integer({ min: 1, max: 512 }),
        fc.integer({ min: 0, max: SHARD_BYTES - 1 }),
        fc.integer(),
        (from, sizeKiB, offset, seed) => {
          const reader = new Reader();
          const random = new Random(seed);
          const inOrder = new Set<number>();
          for (
            let at = from * SHARD_BYTES + offset;
            at < (from + 60) * SHARD_BYTES;
            at += sizeKiB * 1024
          ) {
            const shard = Math.floor(at / SHARD_BYTES);
            // Somebody else reads, too.
            if (!inOrder.has(shard))
              for (let other = random.below(5); other > 0; other--)
                reader.read(512 * SHARD_BYTES + random.below(512 * SHARD_BYTES));
            inOrder.add(shard);
            reader.read(at);
          }
          const missed = reader.misses.filter((shard) => inOrder.has(shard));
          assert.ok(missed.length <= 3, `missed ${missed.join(', ')}`);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('learns strides longer than a shard, forth and back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: SHARD_BYTES, max: 24 * MIB }),
        fc.boolean(),
        fc.integer({ min: 0, max: 4 * MIB }),
        (strideBytes, isBack, offset) => {
          const reader = new Reader();
          const reads = Array.from({ length: 60 }, (_, index) => offset + index * strideBytes);
          for (const at of isBack ? reads.toReversed() : reads) reader.read(at);
          // Of strides hardly longer than a shard some steps look like reads in order: two runs are
          // followed, and one is wrong.
          assert.ok(reader.misses.length <= 6, `missed ${reader.misses.length}`);
          assert.ok(reader.wasted <= 2 * AHEAD_SMALL_READS_SHARDS_MAX, `wasted ${reader.wasted}`);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('follows two runs in order and a stride at once', () => {
    const reader = new Reader();
    for (let step = 0; step < 60; step++) {
      reader.read(step * SHARD_BYTES);
      reader.read((300 + step) * SHARD_BYTES);
      reader.read(600 * SHARD_BYTES + step * 3 * SHARD_BYTES + 500_000);
    }
    assert.ok(reader.misses.length <= 2 + 2 + 4, `missed ${reader.misses.join(', ')}`);
  });

  it('goes on after steps that a front answered from its memory', () => {
    const reader = new Reader();
    for (const shard of [0, 1, 2, 3, 4, 7, 8, 9, 13, 14, 15]) reader.read(shard * SHARD_BYTES);
    assert.deepEqual(reader.misses, [0, 1]);
  });

  for (const [megabytes, wasteMax] of [
    [256, 0.05],
    [2_048, 0.005],
  ] as const) {
    it(`wastes less than ${wasteMax * 100} % of random reads of ${megabytes} MiB`, () => {
      let [reads, brought] = [0, 0];
      for (let seed = 1; seed <= 50; seed++) {
        const pattern = new ReadPattern();
        const random = new Random(seed);
        // Nothing is kept: each read comes to a shard that is not here, and all that is brought
        // ahead is waste.
        for (let read = 0; read < 500; read++, reads++)
          brought += pattern.read(
            random.below(megabytes * 16) * READ_BYTES,
            megabytes * MIB,
          ).length;
      }
      assert.ok(brought / reads < wasteMax, `${((brought / reads) * 100).toFixed(2)} %`);
    });
  }

  it('stops reading ahead of runs that never continue, and resumes with those that do', () => {
    const reader = new Reader(100_000 * SHARD_BYTES);
    const random = new Random(1);
    let [at, brought] = [0, 0];
    for (let round = 0; round < 60; round++, at += 50) {
      brought = 0;
      for (const shard of [0, 1, 2]) brought += reader.read((at + shard) * SHARD_BYTES).length;
      for (let other = 0; other < 20; other++)
        reader.read(50_000 * SHARD_BYTES + random.below(50_000) * SHARD_BYTES + 900_000);
    }
    assert.equal(brought, 0, 'the last rounds brought nothing');
    for (let shard = 0; shard < 100; shard++) reader.read((at + shard) * SHARD_BYTES);
    assert.ok(reader.ahead.has(at + 99));
  });
});
