import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Turn } from '../../lib/front/turn.ts';
import { TURN_BYTES } from '../../lib/front/limits.ts';

describe('front/turn', () => {
  it('gives TURN_BYTES a turn, returned ones included, and all again in the next', async () => {
    const turn = new Turn();
    assert.equal(turn.take(TURN_BYTES - 10), TURN_BYTES - 10);
    assert.equal(turn.take(100), 10);
    assert.equal(turn.take(1), 0);
    turn.giveBack(5);
    assert.equal(turn.take(100), 5);
    await nextTurn();
    assert.equal(turn.take(2 * TURN_BYTES), TURN_BYTES);
  });

  it('lets deferred senders have the next turns, in order, as far as the bytes go', async () => {
    const turn = new Turn();
    const had: [name: string, bytes: number][] = [];
    const waiter = (name: string): { turned(): void } => ({
      turned: () => void had.push([name, turn.take((TURN_BYTES / 4) * 3)]),
    });
    assert.equal(turn.take(TURN_BYTES), TURN_BYTES);
    for (const name of ['a', 'b', 'c', 'd']) turn.wait(waiter(name));
    await nextTurn();
    assert.deepEqual(had, [
      ['a', (TURN_BYTES / 4) * 3],
      ['b', TURN_BYTES / 4],
    ]);
    await nextTurn();
    assert.deepEqual(had.slice(2), [
      ['c', (TURN_BYTES / 4) * 3],
      ['d', TURN_BYTES / 4],
    ]);
  });

  it('goes on when those who waited have nothing left to send', async () => {
    const turn = new Turn();
    let turned = 0;
    turn.take(TURN_BYTES);
    for (let waiter = 0; waiter < 3; waiter++) turn.wait({ turned: () => void (turned += 1) });
    await nextTurn();
    assert.equal(turned, 3);
    assert.equal(turn.take(1), 1);
  });

  it('leaves the event loop alone while little is written', async () => {
    const turn = new Turn();
    const immediates = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Immediate').length;
    const before = immediates();
    for (let part = 0; part < 8; part++) assert.equal(turn.take(TURN_BYTES / 16), TURN_BYTES / 16);
    assert.equal(immediates(), before);
    assert.equal(turn.take(1), 1);
    assert.equal(immediates(), before + 1);
    await nextTurn();
    assert.equal(turn.take(2 * TURN_BYTES), TURN_BYTES);
  });
});
