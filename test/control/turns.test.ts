import assert from 'node:assert/strict';
import { Turns } from '../../lib/control/turns.ts';
import { settled } from './fixture.ts';

describe('control/turns', () => {
  it('lets so many in at once, and the rest in order as others leave', async () => {
    const turns = new Turns(2);
    const order: number[] = [];
    for (const name of [1, 2, 3, 4]) void turns.enter().then(() => order.push(name));
    await settled();
    assert.deepEqual(order, [1, 2]);
    assert.equal(turns.waiting, 2);
    turns.leave();
    await settled();
    assert.deepEqual(order, [1, 2, 3]);
    turns.leave();
    turns.leave();
    turns.leave();
    await settled();
    assert.deepEqual(order, [1, 2, 3, 4]);
  });

  it('has its places back when everybody has left', async () => {
    const turns = new Turns(1);
    await turns.enter();
    turns.leave();
    await turns.enter();
    let second = false;
    void turns.enter().then(() => (second = true));
    await settled();
    assert.equal(second, false);
  });
});
