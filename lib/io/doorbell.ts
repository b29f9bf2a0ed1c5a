import { DOORBELL_PAUSE_MS } from './limits.ts';

/** Words per bell: each bell has a cache line of its own. */
const WORDS_PER_BELL = 16;
const COUNT = 0;
const ARMED = 1;

/**
 * Wakes threads through shared memory, one bell per listening thread. A ring costs two atomic
 * operations when no thread listens. A listener wakes once for all rings since it last looked.
 */
export class Doorbells {
  readonly shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #count: number;

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#words = new Int32Array(shared);
    this.#count = this.#words.length / WORDS_PER_BELL;
  }

  static create(listeners: number): Doorbells {
    return new Doorbells(new SharedArrayBuffer(listeners * WORDS_PER_BELL * 4));
  }

  /** Wakes every listening thread, but for that of the bell `except`. */
  ringAll(except = -1): void {
    for (let bell = 0; bell < this.#count; bell++) {
      if (bell === except) continue;
      const at = bell * WORDS_PER_BELL;
      Atomics.add(this.#words, at + COUNT, 1);
      if (Atomics.exchange(this.#words, at + ARMED, 0) === 1)
        Atomics.notify(this.#words, at + COUNT);
    }
  }

  /**
   * Calls `heard` at once and then after each batch of rings of `bell`, as long as it returns true.
   * After false, call `listen` again when there is something to wait for.
   *
   * Rings that are at least DOORBELL_PAUSE_MS apart are heard at once. Faster ones are batched over
   * that time: a wake-up costs both threads tens of microseconds, and on a fast network a shard
   * arrives in dozens of pieces. While `isUrgent` holds there is no batching. The returned function
   * ends a pause.
   */
  listen(bell: number, heard: () => boolean, isUrgent: () => boolean = () => false): () => void {
    const at = bell * WORDS_PER_BELL;
    let pause: NodeJS.Timeout | null = null;
    let seen = 0;
    let heardMs = Number.NEGATIVE_INFINITY;
    const hear = (): void => {
      const nowMs = performance.now();
      const isFast = nowMs - heardMs < DOORBELL_PAUSE_MS;
      heardMs = nowMs;
      seen = Atomics.load(this.#words, at + COUNT);
      if (!heard()) return;
      if (isFast && !isUrgent()) pause = setTimeout(arm, DOORBELL_PAUSE_MS);
      else arm();
    };
    const arm = (): void => {
      pause = null;
      Atomics.store(this.#words, at + ARMED, 1);
      const wait = Atomics.waitAsync(this.#words, at + COUNT, seen);
      if (wait.async) void wait.value.then(hear);
      // Rung meanwhile. Other events of this thread have their turn in between.
      else setImmediate(hear);
    };
    hear();
    return () => {
      if (pause === null) return;
      clearTimeout(pause);
      pause = null;
      // Not synchronously: arm() may call heard(), and the caller may be in the middle of its work.
      setImmediate(arm);
    };
  }
}
