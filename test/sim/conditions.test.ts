import assert from 'node:assert/strict';
import { CONDITIONS, runCondition } from '../../native-bench/sim/conditions.ts';

/** A sample of `npm run sim -- --conditions`: P95 against what is possible, and what crosses. */
const SAMPLE: [string, link: string, { p95: number; crossed?: number; origin?: number }][] = [
  ['a site of 20 nodes behind one line of 50 Mbit/s', '25Mbit', { p95: 1.6, crossed: 1.02 }],
  // Nodes with fast lines of their own wait for a slow one that many share.
  ['a site of 20 nodes behind one line of 50 Mbit/s', '1Gbit', { p95: 1.6, crossed: 1.02 }],
  ['150 ms of round trip between two zones', '25Mbit', { p95: 1.6 }],
  // Who waits behind a node that is gone finds out in seconds; it took a window's time, 4 to 5.
  ['a third: unplug', '25Mbit', { p95: 2.5 }],
  ['a third: freeze', '25Mbit', { p95: 2.5 }],
  // All nodes took as long as the slow ones, and the slow ones read the origin themselves.
  ['half of the nodes at a quarter of the line', '25Mbit', { p95: 1.6 }],
  ['half of the nodes at a quarter of the line', '1Gbit', { p95: 1.6 }],
  ['a third: slow', '25Mbit', { p95: 1.6 }],
  ['a third: slow', '1Gbit', { p95: 1.6 }],
  // It took 27: parents that wait behind a slow node were left after a minute.
  ['a third: throttle', '25Mbit', { p95: 8, origin: 14 }],
];

describe('sim: uneven lines, and failures', function () {
  this.timeout(120_000);
  for (const [name, link, { p95, crossed = Infinity, origin = 1.02 }] of SAMPLE)
    it(`${name}, ${link}: at most ${p95} times what is possible`, () => {
      const condition = CONDITIONS.find((one) => one.name === name)!;
      const result = runCondition(condition, { link, imageBytes: 64e6, seed: 1 });
      assert.equal(result.unfinished, 0);
      assert.ok(result.p95OverPossible <= p95, `P95 ${result.p95OverPossible}`);
      assert.ok(result.originOverImage <= origin, `origin ${result.originOverImage}`);
      assert.ok((result.crossedOverImage ?? 0) <= crossed, `${result.crossedOverImage} crossed`);
    });
});
