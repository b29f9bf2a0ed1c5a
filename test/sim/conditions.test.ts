import assert from 'node:assert/strict';
import { CONDITIONS, runCondition } from '../../native-bench/sim/conditions.ts';

/** A sample of `npm run sim -- --conditions`: P95 against what is possible, and what crosses. */
const SAMPLE: [string, { p95: number; crossed?: number }][] = [
  ['a site of 20 nodes behind one line of 50 Mbit/s', { p95: 1.6, crossed: 1.02 }],
  ['150 ms of round trip between two zones', { p95: 1.6 }],
];

describe('sim: uneven lines', function () {
  this.timeout(120_000);
  for (const [name, { p95, crossed = Infinity }] of SAMPLE)
    it(`${name}: at most ${p95} times what is possible`, () => {
      const condition = CONDITIONS.find((one) => one.name === name)!;
      const result = runCondition(condition, { link: '25Mbit', imageBytes: 32e6, seed: 1 });
      assert.equal(result.unfinished, 0);
      assert.ok(result.p95OverPossible <= p95, `P95 ${result.p95OverPossible}`);
      assert.ok(result.originOverImage <= 1.02, `origin ${result.originOverImage}`);
      assert.ok((result.crossedOverImage ?? 0) <= crossed, `${result.crossedOverImage} crossed`);
    });
});
