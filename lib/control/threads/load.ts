import type { Worker } from 'node:worker_threads';
import { THREAD_LOOK_MS } from '../limits.ts';

type Measured = Pick<Worker, 'cpuUsage'>;

/**
 * Whether the threads of a pool are busy, measured by the processor time they get. Time outside of
 * waits would not do: on a full machine threads wait for a processor, and one more does not help.
 */
export class PoolLoad {
  readonly #workers: () => readonly Measured[];
  readonly #busyShare: number;
  readonly #nowMs: () => number;
  /** Processor time of each thread at the last look, in microseconds. */
  #before = new Map<Measured, number>();
  #lookedMs = Number.NEGATIVE_INFINITY;
  #busy = false;

  /** Threads are busy that got a processor for `busyShare` of the time. */
  constructor(
    workers: () => readonly Measured[],
    busyShare: number,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#workers = workers;
    this.#busyShare = busyShare;
    this.#nowMs = nowMs;
  }

  /**
   * Whether each thread was busy for its share of the last period of at least
   * THREAD_LOOK_MS. Call it with every job; the answer follows a look by one call.
   */
  get isBusy(): boolean {
    const nowMs = this.#nowMs();
    const periodMs = nowMs - this.#lookedMs;
    if (periodMs >= THREAD_LOOK_MS) {
      this.#lookedMs = nowMs;
      void this.#look(periodMs);
    }
    return this.#busy;
  }

  async #look(periodMs: number): Promise<void> {
    const used = await Promise.all(
      this.#workers().map(async (worker) => [worker, await usedMicros(worker)] as const),
    );
    const enough = periodMs * 1000 * this.#busyShare;
    const before = this.#before;
    this.#busy =
      used.length > 0 && used.every(([worker, us]) => us - (before.get(worker) ?? us) >= enough);
    this.#before = new Map(used);
  }
}

/** NaN for a thread that has ended, which is not busy. */
async function usedMicros(worker: Measured): Promise<number> {
  try {
    const { user, system } = await worker.cpuUsage();
    return user + system;
  } catch {
    return Number.NaN;
  }
}
