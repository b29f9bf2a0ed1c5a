import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SIM = fileURLToPath(new URL('../../native-bench/sim.ts', import.meta.url));

describe('sim: options', () => {
  for (const [args, unused] of [
    [['--ablate', 'lead', '--nodes', '5'], '--nodes'],
    [['--conditions', '--link', '1Gbit', '--image', '5MB'], '--image, --link'],
    [['--grid', '--table'], '--table'],
  ] as const)
    it(`refuses ${unused} with ${args[0]}, which would not use it`, () => {
      const { status, stderr } = spawnSync(process.execPath, [SIM, ...args], { encoding: 'utf8' });
      assert.equal(status, 2);
      assert.match(stderr, new RegExp(`error: ${args[0]} runs .*; leave out ${unused}\\n`));
    });
});
