import assert from 'node:assert/strict';
import { ShoalError } from '../../lib/errors.ts';
import { fuzz, readCorpus, tryInput } from './fuzz.ts';
import { targets } from './targets.ts';

/** 13 s of processor time; `npm run fuzz` makes as many from another seed. */
const RUNS = 1_000_000;
/** What a machine that is shared with others may need for them. */
const RUNS_MS = 300_000;

describe('fuzz: parsers of what comes from outside', function () {
  this.timeout(RUNS_MS);

  it('survive inputs that once failed, and a sample of mutated ones', () => {
    assert.deepEqual(fuzz(targets, { runs: RUNS, seed: 1 }).failures, []);
  });

  it('have a corpus of targets that exist', () => {
    const names = new Set(targets.map(({ name }) => name));
    for (const name of Object.keys(readCorpus())) assert.ok(names.has(name), name);
  });

  it('accept their own seeds without a fault', () => {
    for (const target of targets)
      for (const seed of target.seeds) assert.equal(tryInput(target, seed), null, target.name);
  });

  it('are caught at a fault, also one that takes few inputs to reach', () => {
    const seeds = ['bytes=0-0'];
    const broken = {
      name: 'broken',
      costUs: 1,
      seeds,
      run: (input: string) => void BigInt(input.slice(6, 7)),
    };
    const [failure] = fuzz([broken], { runs: 1_000, seed: 1 }).failures;
    assert.match(failure!.reason, /SyntaxError/);
    const refusing = {
      name: 'refusing',
      costUs: 1,
      seeds,
      run() {
        throw new ShoalError('BAD_REQUEST', 'no');
      },
    };
    assert.deepEqual(fuzz([refusing], { runs: 100, seed: 1 }).failures, []);
  });
});
