import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the heaps of this process frugal. Call it after each start of a thread, and not before the
 * first: Node.js has compiled code of its own modules only for the flags that it was started with.
 *
 * - The main thread's young generation grows no further. It has no resourceLimits as other threads
 *   do, and would double up to 48 MB, the last time after minutes of load. V8 of Node.js 22 resets
 *   this limit whenever a thread starts. Threads with limits have already reached theirs.
 * - Memory is given back by one collection and not by two, 8 s after a heap has grown and in the
 *   middle of a node's first pull on a slow line: the second one hardly finds any.
 */
export function restrainHeaps(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--memory-reducer-gc-count=1');
}
