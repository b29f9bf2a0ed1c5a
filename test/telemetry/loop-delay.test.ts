import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { Meter } from '../../lib/telemetry/counters.ts';
import { watchLoopDelay } from '../../lib/telemetry/loop-delay.ts';
import { MeterBoard } from '../../lib/telemetry/meter-board.ts';
import { until } from './until.ts';

describe('telemetry/loop-delay', () => {
  it('publishes how late the loop was, and forgets it a second later', async () => {
    const board = new MeterBoard();
    const meter = new Meter(board.shared, 1, 'front');
    const clock = new ManualClock();
    const stop = watchLoopDelay(meter, clock, () => true);
    clock.advance(1000);
    const max = (): number => board.threads()[0]!.loopDelayMaxUs;
    const blockForMs = 300;
    let looks = 0;
    await until(() => {
      const endMs = performance.now() + blockForMs;
      while (performance.now() < endMs) Atomics.load(new Int32Array(board.shared, 0, 1), 0);
      // The monitor needs a few turns of the loop between two readings.
      if (++looks % 8 === 0) clock.advance(1000);
      return max() > 20_000;
    }, 'a late loop');
    assert.ok(max() < 5_000_000, `${max()} us`);
    assert.equal(board.threads()[0]!.thread, 'front-1');
    const before = max();
    await until(() => {
      if (++looks % 40 === 0) clock.advance(1000);
      return max() < before / 2;
    }, 'a loop in time again');
    stop();
  });
});
