import assert from 'node:assert/strict';
import './hooks.ts';
import { holds, SEED_MS } from './seeds.ts';

const { runSeed } = await import('./run-seed.ts');
const { VARIANTS } = await import('./variants.ts');

/**
 * Seeds that once found a fault: nodes in a circle, busy roots, an answer cut off, no origin, a lie
 * about a size, a root that lies to all; or a check that was wrong: a shard of the scrub at rest, a
 * right that ended.
 */
const FOUND = [
  345, 527, 714, 1_064, 2_598, 3_047, 3_596, 6_459, 6_857, 7_003, 7_055, 7_076, 9_011, 9_509,
];
describe('chaos: whole nodes over simulated network, disk, clock and registry', function () {
  this.timeout(SEED_MS);

  it('holds with the seeds that once found a fault', async function () {
    this.timeout(FOUND.length * SEED_MS);
    await holds(FOUND);
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
