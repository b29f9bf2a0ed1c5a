import assert from 'node:assert/strict';
import { nextUpload } from '../../lib/swarm/upload-turns.ts';

const orders = (...of: number[]): { order: number }[] => of.map((order) => ({ order }));

describe('swarm/upload-turns', () => {
  it('sends the most needed shard first, and in turn where several may share the line', () => {
    assert.equal(nextUpload(orders(7, 3, 5), 0, 1), 1);
    assert.equal(nextUpload(orders(7, 3, 5), 0, 3), 1, '3 to 5 may share, 3 came first');
    assert.equal(nextUpload(orders(5, 3, 7), 0, 3), 0);
    assert.equal(nextUpload(orders(5, 3, 7), 1, 1), 1);
    assert.equal(nextUpload(orders(5, 3, 7), 2, 1), 2);
    assert.equal(nextUpload(orders(4, 4), 0, 1), 0);
    assert.equal(nextUpload([], 0, 1), -1);
  });
});
