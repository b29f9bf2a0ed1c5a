import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock, Timer } from '../clock.ts';
import type { Meter } from './counters.ts';

const RESOLUTION_MS = 20;
const PUBLISH_MS = 1_000;

/**
 * Publishes the calling thread's event-loop delay in its row once a second. The time a timer was
 * late is counted, so an idle loop reads 0 and not the resolution. Returns what stops it.
 */
export function watchLoopDelay(meter: Meter, clock: Clock): () => void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let timer: Timer;
  const lateUs = (nanoseconds: number): number =>
    Math.max(0, nanoseconds / 1000 - RESOLUTION_MS * 1000);
  const publish = (): void => {
    if (histogram.count > 0)
      meter.setLoopDelay(lateUs(histogram.percentile(99)), lateUs(histogram.max));
    histogram.reset();
    timer = clock.after(PUBLISH_MS, publish);
  };
  timer = clock.after(PUBLISH_MS, publish);
  return () => {
    timer.cancel();
    histogram.disable();
  };
}
