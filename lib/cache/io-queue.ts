import type { Clock } from '../clock.ts';
import { CACHE_STALL_MS } from './limits.ts';

type IoKind = 'read' | 'write';

/**
 * A job was rejected because another has been running for CACHE_STALL_MS.
 */
export class DiskStalled extends Error {
  constructor() {
    super(`the disk has not answered for ${CACHE_STALL_MS / 1000} s`);
    this.name = 'DiskStalled';
  }
}

interface Waiting {
  start: () => void;
  refuse: (error: DiskStalled) => void;
}

/**
 * Runs at most `depth` disk jobs at a time. Reads go first, because a client waits for them; but if
 * writes wait, one of them is always running, so that a busy node still stores shards. The queue is
 * bounded by the arena: every job has its own slot. While a job is overdue, all others are
 * rejected: they would only wait behind it.
 */
export class IoQueue {
  readonly #depth: number;
  readonly #clock: Clock;
  readonly #waiting: Record<IoKind, Waiting[]> = { read: [], write: [] };
  readonly #running: Record<IoKind, number> = { read: 0, write: 0 };
  #overdue = 0;

  constructor(depth: number, clock: Clock) {
    this.#depth = depth;
    this.#clock = clock;
  }

  /**
   * Runs `job` in its turn and settles as it does, or rejects with DiskStalled before it starts.
   */
  async run<T>(kind: IoKind, job: () => Promise<T>): Promise<T> {
    if (this.#overdue > 0) throw new DiskStalled();
    await new Promise<void>((start, refuse) => {
      this.#waiting[kind].push({ start, refuse });
      this.#next();
    });
    let overdue = false;
    const timer = this.#clock.after(CACHE_STALL_MS, () => {
      overdue = true;
      this.#overdue++;
      for (const waiting of [...this.#waiting.read.splice(0), ...this.#waiting.write.splice(0)])
        waiting.refuse(new DiskStalled());
    });
    try {
      return await job();
    } finally {
      timer.cancel();
      if (overdue) this.#overdue--;
      this.#running[kind]--;
      this.#next();
    }
  }

  /** Whether a job is running or waiting. */
  get isBusy(): boolean {
    return this.#running.read + this.#running.write > 0;
  }

  /** Jobs of a kind that have not started. */
  waiting(kind: IoKind): number {
    return this.#waiting[kind].length;
  }

  #next(): void {
    while (this.#running.read + this.#running.write < this.#depth) {
      const writeDue =
        this.#waiting.write.length > 0 &&
        (this.#running.write === 0 || this.#waiting.read.length === 0);
      const kind = writeDue ? 'write' : 'read';
      const next = this.#waiting[kind].shift();
      if (next === undefined) return;
      this.#running[kind]++;
      next.start();
    }
  }
}
