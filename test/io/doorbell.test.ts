import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Doorbells } from '../../lib/io/doorbell.ts';
import { until } from '../telemetry/until.ts';

/** A thread that rings all bells `rings` times, each time counting up a shared word before. */
function ringer(bells: Doorbells, counter: SharedArrayBuffer, rings: number): Worker {
  const source = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module).then(({ Doorbells }) => {
      const bells = new Doorbells(workerData.bells);
      const counter = new Int32Array(workerData.counter);
      for (let ring = 0; ring < workerData.rings; ring++) {
        Atomics.add(counter, 0, 1);
        bells.ringAll();
      }
    });`;
  return new Worker(source, {
    eval: true,
    workerData: {
      module: new URL('../../lib/io/doorbell.ts', import.meta.url).href,
      bells: bells.shared,
      counter,
      rings,
    },
  });
}

describe('io/doorbell', () => {
  it('looks once at once, then once for everything rung in one turn', async () => {
    const bells = Doorbells.create(1);
    let heard = 0;
    bells.listen(0, () => ++heard < 3);
    assert.equal(heard, 1);
    for (let ring = 0; ring < 100; ring++) bells.ringAll();
    await until(() => heard === 2, 'the rings to be heard');
    bells.ringAll();
    await until(() => heard === 3, 'the last ring to be heard');
  });

  it('does not miss a ring that comes while it looks', async () => {
    const bells = Doorbells.create(1);
    let heard = 0;
    bells.listen(0, () => {
      if (++heard === 1) bells.ringAll();
      return heard < 2;
    });
    await until(() => heard === 2, 'the ring within the look to be heard');
  });

  it('hears nothing more once it has said so, until it listens again', async () => {
    const bells = Doorbells.create(1);
    let heard = 0;
    bells.listen(0, () => ++heard < 1);
    bells.ringAll();
    let other = 0;
    bells.listen(0, () => ++other < 2);
    bells.ringAll();
    await until(() => other === 2, 'the second listener to hear');
    assert.equal(heard, 1);
  });

  it('makes no pause while it is urgent, and ends one that has begun when told to', async () => {
    const bells = Doorbells.create(1);
    let [heard, urgent] = [0, true];
    const turns = async (count: number): Promise<void> => {
      for (let turn = 0; turn < count; turn++)
        await new Promise((resolve) => setImmediate(resolve));
    };
    const hurry = bells.listen(
      0,
      () => ++heard < 4,
      () => urgent,
    );
    await turns(1);
    bells.ringAll();
    await turns(20);
    assert.equal(heard, 2, 'within some turns of the loop');
    urgent = false;
    bells.ringAll();
    await until(() => heard === 3, 'the ring');
    // Now it pauses.
    bells.ringAll();
    hurry();
    await turns(20);
    assert.equal(heard, 4);
  });

  it('wakes every thread that listens', async () => {
    const bells = Doorbells.create(3);
    const heard = [0, 0, 0];
    for (const bell of [0, 1, 2]) bells.listen(bell, () => ++heard[bell]! < 2);
    bells.ringAll();
    await until(() => heard.every((count) => count === 2), 'all three to hear');
  });

  it('does not wake the thread that is left out', async () => {
    const bells = Doorbells.create(2);
    const heard = [0, 0];
    for (const bell of [0, 1]) bells.listen(bell, () => ++heard[bell]! < 2);
    bells.ringAll(0);
    await until(() => heard[1] === 2, 'the other thread');
    assert.equal(heard[0], 1);
    bells.ringAll();
    await until(() => heard[0] === 2, 'the thread that was left out');
  });

  it('sees the last of many changes that another thread rings for', async () => {
    const bells = Doorbells.create(2);
    const counter = new SharedArrayBuffer(4);
    const words = new Int32Array(counter);
    const rings = 20_000;
    let [seen, looks] = [0, 0];
    bells.listen(1, () => {
      looks++;
      seen = Atomics.load(words, 0);
      return seen < rings;
    });
    const thread = ringer(bells, counter, rings);
    await once(thread, 'exit');
    await until(() => seen === rings, 'the last change to be seen');
    assert.ok(looks < rings, `${looks} looks for ${rings} rings`);
  });
});
