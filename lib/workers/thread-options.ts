import { THREAD_HEAP } from './limits.ts';

/**
 * Options of the main thread that its threads have to be given by name; Node refuses most others
 * here, and those that are V8's hold for all threads as it is.
 */
const PASSED_ON = /^--(cpu|heap)-prof/;

/**
 * Those of Node's arguments that threads are given too, an option's value with it: `--cpu-prof-dir
 * DIR`.
 */
export function passedOn(args: readonly string[]): string[] {
  return args.filter(
    (arg, at) =>
      PASSED_ON.test(arg) || (!arg.startsWith('-') && PASSED_ON.test(args[at - 1] ?? '')),
  );
}

/**
 * How every thread of the node is started: with a bounded heap, and profiled as the main thread.
 */
export const THREAD_OPTIONS = {
  resourceLimits: THREAD_HEAP,
  execArgv: passedOn(process.execArgv),
};
