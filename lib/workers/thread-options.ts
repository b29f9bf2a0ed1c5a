import { THREAD_HEAP } from '../limits.ts';

/** Options of the main thread that its threads have to be given by name; Node refuses most others here, and those that are V8's hold for all threads as it is. */
const PASSED_ON = /^--(cpu|heap)-prof/;

/** How every thread of the node is started: with a bounded heap, and with what the main thread knows of its sources (lib/type-cache.js). */
export const THREAD_OPTIONS = {
  resourceLimits: THREAD_HEAP,
  execArgv: [...process.execArgv.filter((option) => PASSED_ON.test(option)), '--import', new URL('../type-cache.js', import.meta.url).href],
};
