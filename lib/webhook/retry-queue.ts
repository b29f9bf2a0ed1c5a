import type { Clock, Timer } from '../clock.ts';

interface RetryQueueOptions {
  /** Processes a key. A rejection schedules a retry. */
  work: (key: string) => Promise<void>;
  onError: (key: string, error: unknown) => void;
  clock: Clock;
  /** In [0, 1): jitter of retries. */
  random: () => number;
  atOnce: number;
  retryMsMin: number;
  retryMsMax: number;
}

/**
 * A work queue of keys. Each key is queued at most once and processed by one worker at a time. A
 * key added while it is processed is processed again; a failed key is retried after a pause that
 * doubles. Its size is bounded by the number of keys.
 */
export class RetryQueue {
  readonly #options: RetryQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, Timer>();
  #closed = false;

  constructor(options: RetryQueueOptions) {
    this.#options = options;
  }

  /** Keys that are queued, in progress or waiting for a retry. */
  get size(): number {
    return new Set([...this.#waiting, ...this.#running, ...this.#timers.keys()]).size;
  }

  add(key: string): void {
    if (this.#closed) return;
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
    this.#waiting.add(key);
    this.#pump();
  }

  /** Drops everything that has not started. */
  clear(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#waiting.clear();
    this.#failures.clear();
  }

  close(): void {
    this.#closed = true;
    this.clear();
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.atOnce) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    const { work, onError, clock, random, retryMsMin, retryMsMax } = this.#options;
    try {
      await work(key);
      this.#failures.delete(key);
    } catch (error) {
      onError(key, error);
      const failures = this.#failures.get(key) ?? 0;
      this.#failures.set(key, failures + 1);
      const pauseMs =
        Math.min(retryMsMax, retryMsMin * 2 ** Math.min(failures, 16)) * (0.5 + random() / 2);
      if (!this.#closed && !this.#waiting.has(key))
        this.#timers.set(
          key,
          clock.after(pauseMs, () => this.add(key)),
        );
    }
    this.#running.delete(key);
    this.#pump();
  }
}
