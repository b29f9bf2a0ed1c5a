import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the heaps of this process small, at little cost. Call it after each start of a thread, and
 * not before the first: flags that change before then cost 40 ms of start-up (docs/PERFORMANCE.md).
 *
 * - The main thread's young generation grows no further. It has no resourceLimits as other threads
 *   do, and would double up to 48 MB, the last time after minutes of load. V8 of Node.js 22 resets
 *   this limit whenever a thread starts. Threads with limits have already reached theirs.
 * - V8 gives memory back by a collection 8 s after a heap has grown, which is in the middle of a
 *   node's first pull on a slow line. It would do so twice; the second time finds hardly any.
 */
export function restrainHeaps(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--memory-reducer-gc-count=1');
}
