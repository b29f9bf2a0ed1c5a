import assert from 'node:assert/strict';
import { COMBINATIONS, sample } from './behaviour.ts';
import { walk } from './walk.ts';

/** The sample of CI; `npm run differential` compares as many as one likes. */
const COUNT = 2_000;
const SEED = 1;

describe('differential: what pulls directly pulls through one node and through two', function () {
  this.timeout(300_000);

  it('samples every combination once', () => {
    for (const seed of [SEED, 7])
      assert.equal(new Set(sample(seed, 0, COMBINATIONS)).size, COMBINATIONS);
  });

  it(`${COUNT} combinations of ${COMBINATIONS}`, async () => {
    const { answers, costs } = await walk(sample(SEED, 0, COUNT));
    assert.deepEqual({ answers, costs }, { answers: [], costs: [] });
  });
});
