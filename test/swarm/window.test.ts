import assert from 'node:assert/strict';
import { ReadWindow } from '../../lib/swarm/window.ts';

const LIMITS = { leadShards: 4, aheadShards: 20 };
const none = (): boolean => false;

describe('swarm/window', () => {
  it('asks for a window of shards in order when the reader reads to the end', () => {
    const window = new ReadWindow(true, 4, LIMITS);
    assert.deepEqual(window.next(100, 0, none), [0, 1, 2, 3]);
    assert.deepEqual(
      window.next(100, 3, (index) => index < 4),
      [4],
    );
    assert.deepEqual(
      window.next(100, 4, (index) => index < 4),
      [],
    );
    assert.deepEqual(window.next(2, 0, none), [0, 1], 'not past the end');
  });

  it('goes on past a shard that is stuck, but no further than aheadShards', () => {
    const window = new ReadWindow(true, 4, LIMITS);
    assert.deepEqual(
      window.next(100, 1, (index) => index < 10),
      [10, 11, 12],
    );
    assert.deepEqual(
      window.next(100, 1, (index) => index < 19),
      [19],
    );
    assert.deepEqual(
      window.next(100, 1, (index) => index < 20),
      [],
    );
  });

  it('grows with a reader that goes on in order, and closes when it jumps', () => {
    const window = new ReadWindow(false, 8, LIMITS);
    assert.deepEqual(window.next(100, 0, none), [0]);
    const sizes = [1, 2, 3, 4].map((position) => {
      window.at(position);
      return window.sizeShards;
    });
    assert.deepEqual(sizes, [2, 4, 8, 8]);
    window.at(50);
    assert.deepEqual(
      window.next(100, 0, none),
      [50],
      'a random reader gets what it asks for and no more',
    );
    window.at(50);
    assert.equal(window.sizeShards, 1);
  });

  it('asks earlier for shards it is to pass on, which take no place', () => {
    const window = new ReadWindow(true, 2, LIMITS);
    const isInner = (index: number): boolean => index % 3 === 2;
    assert.deepEqual(window.next(100, 0, none, 1, isInner), [0, 1, 2]);
    assert.deepEqual(
      window.next(100, 2, (index) => index < 2, 1, isInner),
      [2],
    );
  });

  it('waits until it wants a full request, while there is enough to read', () => {
    const window = new ReadWindow(true, 8, LIMITS);
    const before =
      (count: number) =>
      (index: number): boolean =>
        index < count;
    const next = (count: number, known: number, together = 3): number[] =>
      window.next(count, 0, before(known), 1, none, together);
    assert.deepEqual(next(8, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(next(8, 6), [], 'the reader has six before it');
    assert.deepEqual(next(9, 6), [6, 7, 8]);
    assert.deepEqual(next(8, 6, 1), [6, 7]);
    window.at(3);
    assert.deepEqual(next(8, 6), [], 'it has three');
    window.at(4);
    assert.deepEqual(next(8, 6), [6, 7], 'it has two, and needs them soon');
  });

  it('leaves a part of itself to other readers, and at least one shard to each', () => {
    assert.equal(new ReadWindow(true, 8, LIMITS).next(100, 0, none, 1 / 4).length, 2);
    assert.equal(new ReadWindow(true, 8, LIMITS).next(100, 0, none, 1 / 100).length, 1);
  });
});
