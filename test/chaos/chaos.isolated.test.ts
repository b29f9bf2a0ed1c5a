import assert from 'node:assert/strict';
import './hooks.ts';

const { runSeed } = await import('./run-seed.ts');
const { VARIANTS } = await import('./variants.ts');

/** Seeds of the sample; `npm run chaos -- --seeds N` takes more. */
const SEEDS = 60;
/** What a machine that is shared with others may need for one seed. */
const SEED_MS = 60_000;

describe('chaos: whole nodes over simulated network, disk, clock and registry', function () {
  this.timeout(SEED_MS);

  it(`holds with ${SEEDS} seeds`, async function () {
    this.timeout(SEEDS * SEED_MS);
    for (let seed = 1; seed <= SEEDS; seed++)
      assert.deepEqual((await runSeed(seed)).violations, [], `seed ${seed}`);
  });

  for (const [name, { breaks, under, seed }] of Object.entries(VARIANTS))
    it(`catches a node that ${inWords(name)}`, async () => {
      assert.notDeepEqual((await runSeed(seed, breaks, under)).violations, [], 'the broken node');
      assert.deepEqual((await runSeed(seed, {}, under)).violations, [], 'the real node');
    });

  it('gives the same run for the same seed', async () => {
    const [one, two] = [await runSeed(50), await runSeed(50)];
    assert.equal(one.events, two.events);
    assert.deepEqual(one.pulls, two.pulls);
  });
});

/** `skipsTheChecksum` as `skips the checksum`. */
function inWords(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
