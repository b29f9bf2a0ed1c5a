import { setFlagsFromString } from 'node:v8';
import type { Clock, Timer } from '../../lib/clock.ts';
/** The wall time at which every simulation begins. */
const START_WALL_MS = 1_700_000_000_000;

interface Due {
  atMs: number;
  /** What is due at one moment happens in the order of its making. */
  order: number;
  /** null: cancelled. */
  fire: (() => void) | null;
}

/** Simulated time. Nothing passes but by `run`, and what is due at one moment happens in order. */
export class Timeline {
  nowMs = 0;
  /** Events that have happened. */
  count = 0;
  /** A binary heap. */
  readonly #due: Due[] = [];
  #made = 0;

  after(delayMs: number, fire: () => void): Timer {
    const due: Due = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#made++, fire };
    this.#push(due);
    return { cancel: () => void (due.fire = null) };
  }

  /** Lets time pass until `over`, or until `untilMs`. */
  run(over: () => boolean, untilMs: number): Promise<void> {
    // Outside of a promise: within one, others would wait for the end of this loop.
    return new Promise((resolve, reject) =>
      realSetImmediate(() => {
        try {
          while (!over() && this.#step(untilMs));
          resolve();
        } catch (thrown) {
          reject(thrown as Error);
        }
      }),
    );
  }

  /** The next event and all its consequences; false: none until `untilMs`. */
  #step(untilMs: number): boolean {
    const next = this.#due[0];
    if (next === undefined || next.atMs > untilMs) return false;
    this.#pop();
    if (next.fire === null) return true;
    this.nowMs = next.atMs;
    this.count += 1;
    next.fire();
    settle();
    return true;
  }

  #push(due: Due): void {
    const heap = this.#due;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(due, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#due;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

const realSetImmediate = globalThis.setImmediate;

/** What waits for the end of this turn of the simulated event loop. */
let immediates: (() => void)[] = [];

globalThis.setImmediate = ((fire: (...args: unknown[]) => void, ...args: unknown[]) =>
  void immediates.push(() => fire(...args))) as unknown as typeof setImmediate;

/**
 * Lets promises that are settled go on. A turn of the real event loop does so, too, at seven times
 * the cost, and there are thousands of events in a simulation.
 */
const runMicrotasks = ((): (() => void) => {
  setFlagsFromString('--allow-natives-syntax');
  const run = new Function('%PerformMicrotaskCheckpoint()') as () => void;
  setFlagsFromString('--no-allow-natives-syntax');
  return run;
})();

/** Lets all happen that follows from an event without more time: promises, and ends of turns. */
function settle(): void {
  runMicrotasks();
  while (immediates.length > 0) {
    const now = immediates;
    immediates = [];
    for (const fire of now) {
      fire();
      runMicrotasks();
    }
  }
}

/** The clock of one process: its timers end with it, and its wall time may be wrong. */
export class ProcessClock implements Clock {
  readonly #timeline: Timeline;
  readonly #skewMs: () => number;
  #isAlive = true;

  constructor(timeline: Timeline, skewMs: () => number) {
    this.#timeline = timeline;
    this.#skewMs = skewMs;
  }

  readonly wallMs = (): number => Math.floor(START_WALL_MS + this.#timeline.nowMs + this.#skewMs());

  readonly nowMs = (): number => this.#timeline.nowMs;

  readonly after = (delayMs: number, fire: () => void): Timer =>
    this.#timeline.after(delayMs, () => {
      if (this.#isAlive) fire();
    });

  end(): void {
    this.#isAlive = false;
  }
}
