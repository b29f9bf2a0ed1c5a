import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../clock.ts';
import type { Meter } from './counters.ts';

/**
 * A delay of this length is always seen. Sampling is what wakes a thread most on a slow line: every
 * 20 ms, it was half of all wake-ups.
 */
const RESOLUTION_MS = 200;
const PUBLISH_MS = 1_000;
/** Below this share of a second of work, the loop is not sampled in the next second. */
const IDLE_SHARE = 0.01;

/**
 * Publishes the calling thread's event-loop delay in its row once a second. It measures how late
 * timers fire, so an idle loop reads 0 and not the resolution. Sampling pauses while the thread is
 * idle; then only the lateness of the publishing timer itself counts. Returns a function that stops
 * it.
 */
export function watchLoopDelay(
  meter: Meter,
  clock: Clock,
  isBusy: () => boolean = busyLoop(),
): () => void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let isSampling = false;
  let timer: Timer;
  let dueMs = 0;
  const lateUs = (nanoseconds: number): number =>
    Math.max(0, nanoseconds / 1000 - RESOLUTION_MS * 1000);
  const wait = (): void => {
    dueMs = clock.nowMs() + PUBLISH_MS;
    timer = clock.after(PUBLISH_MS, publish);
  };
  const publish = (): void => {
    const timerLateUs = Math.max(0, clock.nowMs() - dueMs) * 1000;
    const sampled = histogram.count > 0;
    meter.setLoopDelay(
      sampled ? lateUs(histogram.percentile(99)) : timerLateUs,
      Math.max(timerLateUs, sampled ? lateUs(histogram.max) : 0),
    );
    histogram.reset();
    const wasSampling = isSampling;
    isSampling = isBusy();
    if (isSampling && !wasSampling) histogram.enable();
    if (!isSampling && wasSampling) histogram.disable();
    wait();
  };
  wait();
  return () => {
    timer.cancel();
    histogram.disable();
  };
}

/** Whether this thread's loop was active for IDLE_SHARE of the time since the last call. */
function busyLoop(): () => boolean {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization > IDLE_SHARE;
  };
}
