import assert from 'node:assert/strict';
import type { Worker } from 'node:worker_threads';
import { THREAD_LOOK_MS } from '../../../lib/control/limits.ts';
import { PoolLoad } from '../../../lib/control/threads/load.ts';

interface Thread {
  activeMs: number;
  worker: Pick<Worker, 'performance'>;
}

/** A thread that has been busy for `activeMs`. */
function thread(): Thread {
  const eventLoopUtilization = () => ({ idle: 0, active: state.activeMs, utilization: 0 });
  const worker = { performance: { eventLoopUtilization } } as Thread['worker'];
  const state: Thread = { activeMs: 0, worker };
  return state;
}

describe('control/threads/load', () => {
  let nowMs = 0;
  beforeEach(() => (nowMs = 0));

  it('is busy once every thread was busy for most of a period', () => {
    const [one, other] = [thread(), thread()];
    const load = new PoolLoad(
      () => [one.worker, other.worker],
      () => nowMs,
    );
    assert.equal(load.isBusy, false, 'nothing is known yet');
    nowMs += THREAD_LOOK_MS;
    one.activeMs += THREAD_LOOK_MS;
    assert.equal(load.isBusy, false, 'the other was idle');
    nowMs += THREAD_LOOK_MS;
    one.activeMs += THREAD_LOOK_MS;
    other.activeMs += THREAD_LOOK_MS;
    assert.equal(load.isBusy, true);
    nowMs += THREAD_LOOK_MS / 2;
    assert.equal(load.isBusy, true, 'until the next look');
    nowMs += THREAD_LOOK_MS;
    assert.equal(load.isBusy, false);
  });

  it('is not busy without threads', () => {
    const load = new PoolLoad(
      () => [],
      () => nowMs,
    );
    assert.equal(load.isBusy, false);
    nowMs += THREAD_LOOK_MS;
    assert.equal(load.isBusy, false);
  });
});
