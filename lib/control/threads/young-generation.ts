import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the main thread's young generation from growing any further: it has no resourceLimits as
 * the other threads have, and would double up to 48 MB, the last time after minutes of load. V8
 * takes this back with every thread that is started, so it is to be called when one has come up.
 * Threads that have limits are at theirs already.
 */
export function holdYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
