import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

const HOLD = new URL('../../../lib/control/threads/young-generation.ts', import.meta.url).href;

/**
 * MiB of the main thread's young generation in a process of its own, after a thread has come up and
 * much has survived.
 */
function grownMiB(holds: boolean): number {
  const script = `
    import { once } from 'node:events';
    import { getHeapSpaceStatistics } from 'node:v8';
    import { Worker } from 'node:worker_threads';
    import { holdYoungGeneration } from '${HOLD}';
    if (${holds}) holdYoungGeneration();
    await once(new Worker('setInterval(() => {}, 1000)', { eval: true }), 'online');
    if (${holds}) holdYoungGeneration();
    const kept = [];
    for (let made = 0; made < 2_000_000; made++) {
      kept.push({ made: [made] });
      if (kept.length > 30_000) kept.splice(0, 15_000);
    }
    const spaces = getHeapSpaceStatistics();
    const young = spaces.find(({ space_name }) => space_name === 'new_space');
    console.log(young.space_size / 2 ** 20);
    process.exit();`;
  return Number(
    spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 30_000,
    }).stdout,
  );
}

describe('control/young-generation', function () {
  this.timeout(60_000);

  it('stays small when it is held again after the start of a thread, and grows without', () => {
    const held = grownMiB(true);
    assert.ok(held > 0 && held <= 8, `${held} MiB`);
    assert.ok(grownMiB(false) > 2 * held);
  });
});
