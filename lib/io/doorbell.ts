import { DOORBELL_PAUSE_MS } from './limits.ts';

/** Words per bell: a bell has a cache line of its own. */
const WORDS_PER_BELL = 16;
const COUNT = 0;
const ARMED = 1;

/**
 * One bell per listening thread. Ringing is two atomic operations when nobody listens; a listener
 * is woken once for everything that was rung since it last looked.
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

  /** Wakes every thread that listens. */
  ringAll(): void {
    for (let bell = 0; bell < this.#count; bell++) {
      const at = bell * WORDS_PER_BELL;
      Atomics.add(this.#words, at + COUNT, 1);
      if (Atomics.exchange(this.#words, at + ARMED, 0) === 1)
        Atomics.notify(this.#words, at + COUNT);
    }
  }

  /**
   * Calls `heard` at once and then after every batch of rings of bell `bell`, for as long as it
   * returns true; returning false ends the listening (call `listen` again when there is something
   * to wait for). A ring out of silence is heard at once; those that follow it are heard together,
   * DOORBELL_PAUSE_MS later: a wake-up costs tens of microseconds on both sides, and a shard
   * arrives in dozens of pieces. While `isUrgent` holds each is heard as soon as this thread comes
   * to it. The function returned ends a pause under way.
   */
  listen(bell: number, heard: () => boolean, isUrgent: () => boolean = () => false): () => void {
    const at = bell * WORDS_PER_BELL;
    let pause: NodeJS.Timeout | null = null;
    let seen = 0;
    const hear = (): void => {
      seen = Atomics.load(this.#words, at + COUNT);
      if (!heard()) return;
      if (isUrgent()) setImmediate(arm);
      else pause = setTimeout(arm, DOORBELL_PAUSE_MS);
    };
    const arm = (): void => {
      pause = null;
      Atomics.store(this.#words, at + ARMED, 1);
      const wait = Atomics.waitAsync(this.#words, at + COUNT, seen);
      if (wait.async) void wait.value.then(hear);
      else hear();
    };
    hear();
    return () => {
      if (pause === null) return;
      clearTimeout(pause);
      pause = null;
      // Not within this call: it may find something rung at once, and who calls may be in the
      // middle of something.
      setImmediate(arm);
    };
  }
}
