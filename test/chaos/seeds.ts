import assert from 'node:assert/strict';
import './hooks.ts';

const { runSeed } = await import('./run-seed.ts');

/** What a machine that is shared with others may need for one seed. */
export const SEED_MS = 60_000;

/** Where a missing program is a failure (`.ci/run`), all seeds are run; otherwise a sample. */
const isAll = process.env['SHOAL_REQUIRE_ALL'] === '1';
/** The seeds are divided among so many files, which run side by side. */
const FILES = 4;
const SEEDS_PER_FILE = 1_000 / FILES;
const SAMPLE_PER_FILE = 100 / FILES;
/** So many seeds are one test. */
const SEEDS_PER_TEST = 25;

/** The tests of file `file` of FILES, counted from 0: each seed must run without a violation. */
export function testSeeds(file: number): void {
  const count = isAll ? SEEDS_PER_FILE : SAMPLE_PER_FILE;
  const first = file * SEEDS_PER_FILE + 1;
  describe(`chaos: seeds ${first} to ${first + count - 1}`, () => {
    for (let from = first; from < first + count; from += SEEDS_PER_TEST) {
      const seeds = Array.from({ length: SEEDS_PER_TEST }, (_, at) => from + at);
      it(`holds with seeds ${from} to ${from + SEEDS_PER_TEST - 1}`, async function () {
        this.timeout(SEEDS_PER_TEST * SEED_MS);
        await holds(seeds);
      });
    }
  });
}

/** Fails with the first seed that shows a violation. */
export async function holds(seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) assert.deepEqual((await runSeed(seed)).violations, [], `seed ${seed}`);
}
