import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { Line } from '../../lib/demo/line.ts';

describe('demo/line', () => {
  it('lets through what its rate allows, all answers together, in their order', async () => {
    const clock = new ManualClock();
    const line = new Line(1_000, clock);
    const passed: string[] = [];
    for (const [name, bytes] of [
      ['a', 500],
      ['b', 1_000],
      ['c', 500],
    ] as const)
      void line.pass(bytes).then(() => passed.push(`${name} at ${clock.nowMs()}`));
    for (let ms = 0; ms < 2_000; ms += 100) {
      clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(passed, ['a at 500', 'b at 1500', 'c at 2000']);
  });
});
