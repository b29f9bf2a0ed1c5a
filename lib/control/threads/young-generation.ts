import { setFlagsFromString } from 'node:v8';

/**
 * Stops the growth of the main thread's young generation. It has no resourceLimits as other threads
 * do, and would double up to 48 MB, the last time after minutes of load. V8 of Node.js 22 resets
 * this limit whenever a thread starts, so call it after each start. Threads with limits have
 * already reached theirs.
 */
export function holdYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
