import type { Clock, Timer } from '../../lib/clock.ts';
import { EventQueue } from '../../native-bench/sim/event-queue.ts';

/** The wall time at which every simulation begins. */
const START_WALL_MS = 1_700_000_000_000;

/** Simulated time. Nothing passes but by `run`, and what is due at one moment happens in order. */
export class Timeline {
  readonly #queue = new EventQueue();

  get nowMs(): number {
    return this.#queue.nowMs;
  }

  /** Events that have happened. */
  get count(): number {
    return this.#queue.count;
  }

  after(delayMs: number, fire: () => void): Timer {
    let isCancelled = false;
    this.#queue.at(
      this.nowMs + Math.max(0, delayMs),
      () => {
        if (!isCancelled) fire();
      },
      null,
    );
    return { cancel: () => void (isCancelled = true) };
  }

  /** Lets time pass until `over`, or until `untilMs`. */
  async run(over: () => boolean, untilMs: number): Promise<void> {
    while (!over()) {
      const before = this.#queue.count;
      this.#queue.run(() => this.#queue.count > before, untilMs);
      if (this.#queue.count === before) return;
      // Promises, and what waits for the end of a turn of the event loop.
      await turn();
      await turn();
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
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
