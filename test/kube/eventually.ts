import { systemClock } from '../../lib/clock.ts';
import { nextLookMs } from '../telemetry/until.ts';

/**
 * Looks again and again until `look` gives something other than null, false or an error; fails
 * after `deadlineMs`. Tells how long it took.
 */
export async function eventually<T>(
  what: string,
  look: () => T | null | false | Promise<T | null | false>,
  deadlineMs = 30_000,
): Promise<{ value: T; tookMs: number }> {
  const beganMs = performance.now();
  for (let last: unknown = null; ;) {
    try {
      const value = await look();
      if (value !== null && value !== false) return { value, tookMs: performance.now() - beganMs };
    } catch (error) {
      last = error;
    }
    const waitedMs = performance.now() - beganMs;
    if (waitedMs > deadlineMs)
      throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last });
    await new Promise<void>((wake) => systemClock.after(nextLookMs(waitedMs), wake));
  }
}
