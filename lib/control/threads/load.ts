import type { EventLoopUtilization } from 'node:perf_hooks';
import type { Worker } from 'node:worker_threads';
import { THREAD_BUSY_SHARE, THREAD_LOOK_MS } from '../limits.ts';

/** Whether the threads of a pool are busy, measured by their time outside of waits. */
export class PoolLoad {
  readonly #workers: () => readonly Pick<Worker, 'performance'>[];
  readonly #nowMs: () => number;
  readonly #before = new Map<Pick<Worker, 'performance'>, EventLoopUtilization>();
  #lookedMs = Number.NEGATIVE_INFINITY;
  #busy = false;

  constructor(
    workers: () => readonly Pick<Worker, 'performance'>[],
    nowMs: () => number = () => performance.now(),
  ) {
    this.#workers = workers;
    this.#nowMs = nowMs;
  }

  /**
   * Whether each thread was busy for THREAD_BUSY_SHARE of the last period of at least
   * THREAD_LOOK_MS. Call it with every job.
   */
  get isBusy(): boolean {
    const nowMs = this.#nowMs();
    const periodMs = nowMs - this.#lookedMs;
    if (periodMs < THREAD_LOOK_MS) return this.#busy;
    this.#lookedMs = nowMs;
    const workers = this.#workers();
    this.#busy = workers.length > 0;
    for (const worker of workers) {
      const now = worker.performance.eventLoopUtilization();
      const before = this.#before.get(worker);
      this.#before.set(worker, now);
      const activeMs = now.active - (before?.active ?? now.active);
      if (activeMs < periodMs * THREAD_BUSY_SHARE) this.#busy = false;
    }
    for (const worker of this.#before.keys())
      if (!workers.includes(worker)) this.#before.delete(worker);
    return this.#busy;
  }
}
