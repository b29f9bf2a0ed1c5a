import assert from 'node:assert/strict';
import type { Worker } from 'node:worker_threads';
import { THREAD_LOOK_MS } from '../../../lib/control/limits.ts';
import { PoolLoad } from '../../../lib/control/threads/load.ts';

/** A thread that has used `usedMs` of processor time, or has ended. */
class Thread {
  usedMs = 0;
  hasEnded = false;

  cpuUsage: Worker['cpuUsage'] = () =>
    this.hasEnded
      ? Promise.reject(new Error('the thread has ended'))
      : Promise.resolve({ user: this.usedMs * 600, system: this.usedMs * 400 });
}

/** Of a processor, from which on a thread is busy. */
const BUSY_SHARE = 0.6;

describe('control/threads/load', () => {
  let nowMs = 0;
  beforeEach(() => (nowMs = 0));

  /** What is answered once the look of this call is over. */
  async function seen(load: PoolLoad): Promise<boolean> {
    void load.isBusy;
    await new Promise(setImmediate);
    return load.isBusy;
  }

  it('is busy once every thread got a processor for most of a period', async () => {
    const [one, other] = [new Thread(), new Thread()];
    const load = new PoolLoad(
      () => [one, other],
      BUSY_SHARE,
      () => nowMs,
    );
    assert.equal(await seen(load), false, 'nothing is known yet');
    nowMs += THREAD_LOOK_MS;
    one.usedMs += THREAD_LOOK_MS;
    assert.equal(await seen(load), false, 'the other was idle, or waited for a processor');
    nowMs += THREAD_LOOK_MS;
    one.usedMs += THREAD_LOOK_MS;
    other.usedMs += THREAD_LOOK_MS;
    assert.equal(await seen(load), true);
    nowMs += THREAD_LOOK_MS / 2;
    assert.equal(await seen(load), true, 'until the next look');
    nowMs += THREAD_LOOK_MS;
    assert.equal(await seen(load), false);
  });

  it('is not busy with a thread that has ended', async () => {
    const [one, other] = [new Thread(), new Thread()];
    const load = new PoolLoad(
      () => [one, other],
      BUSY_SHARE,
      () => nowMs,
    );
    await seen(load);
    nowMs += THREAD_LOOK_MS;
    one.usedMs += THREAD_LOOK_MS;
    other.hasEnded = true;
    assert.equal(await seen(load), false);
  });

  it('is not busy without threads', async () => {
    const load = new PoolLoad(
      () => [],
      BUSY_SHARE,
      () => nowMs,
    );
    assert.equal(await seen(load), false);
    nowMs += THREAD_LOOK_MS;
    assert.equal(await seen(load), false);
  });
});
