import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const HOLD = new URL('../lib/heap.ts', import.meta.url).href;

/**
 * MiB of the main thread's young generation in a process of its own, after a thread has come up and
 * much has survived.
 */
function grownMiB(holds: boolean): number {
  const script = `
    import { once } from 'node:events';
    import { getHeapSpaceStatistics } from 'node:v8';
    import { Worker } from 'node:worker_threads';
    import { restrainHeaps } from '${HOLD}';
    if (${holds}) restrainHeaps();
    await once(new Worker('setInterval(() => {}, 1000)', { eval: true }), 'online');
    if (${holds}) restrainHeaps();
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

describe('heap', function () {
  this.timeout(60_000);

  it('stays small when it is held again after the start of a thread, and grows without', () => {
    const held = grownMiB(true);
    assert.ok(held > 0 && held <= 8, `${held} MiB`);
    assert.ok(grownMiB(false) > 2 * held);
  });

  it('gives memory back by one collection', async () => {
    const script = `
      import { restrainHeaps } from '${HOLD}';
      restrainHeaps();
      let kept = [];
      for (let made = 0; made < 300_000; made++) kept.push({ made: [made] });
      kept = null;
      setInterval(() => {}, 1000);`;
    const child = spawn(
      process.execPath,
      ['--trace-memory-reducer', '--input-type=module', '-e', script],
      { stdio: ['ignore', 'pipe', 'ignore'], timeout: 30_000 },
    );
    try {
      for await (const line of createInterface(child.stdout)) {
        const [, next] = /finished GC #1 \((.*)\)/.exec(line) ?? [];
        if (next !== undefined) return assert.equal(next, 'done');
      }
      assert.fail('ended without a collection');
    } finally {
      child.kill('SIGKILL');
    }
  });
});
