import assert from 'node:assert/strict';
import { TurnEnd } from '../../lib/workers/turn-end.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('workers/turn-end', () => {
  it('does nothing within the callback or its microtasks, then all in order', async () => {
    const turnEnd = new TurnEnd();
    const done: number[] = [];
    turnEnd.add(() => done.push(1));
    turnEnd.add(() => done.push(2));
    await Promise.resolve();
    assert.deepEqual(done, []);
    await nextTurn();
    assert.deepEqual(done, [1, 2]);
  });

  it('does what waits at once when told, and only once', async () => {
    const turnEnd = new TurnEnd();
    const done: number[] = [];
    turnEnd.add(() => done.push(1));
    turnEnd.now();
    turnEnd.add(() => done.push(2));
    assert.deepEqual(done, [1]);
    await nextTurn();
    await nextTurn();
    assert.deepEqual(done, [1, 2]);
  });
});
