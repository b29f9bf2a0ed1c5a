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
  /** The running jobs, in the order they began. */
  readonly #jobs = new Set<{ sinceMs: number }>();
  #isWatched = false;

  constructor(depth: number, clock: Clock) {
    this.#depth = depth;
    this.#clock = clock;
  }

  /**
   * Runs `job` in its turn and settles as it does, or rejects with DiskStalled before it starts.
   */
  async run<T>(kind: IoKind, job: () => Promise<T>): Promise<T> {
    if (this.#isOverdue()) throw new DiskStalled();
    if (this.#hasRoom()) this.#running[kind]++;
    else
      await new Promise<void>((start, refuse) => {
        this.#waiting[kind].push({ start, refuse });
      });
    const running = { sinceMs: this.#clock.nowMs() };
    this.#jobs.add(running);
    this.#watch();
    try {
      return await job();
    } finally {
      this.#jobs.delete(running);
      this.#running[kind]--;
      this.#next();
    }
  }

  /** Whether a running job is overdue; the first of them is the oldest. */
  #isOverdue(): boolean {
    for (const { sinceMs } of this.#jobs) return this.#clock.nowMs() - sinceMs >= CACHE_STALL_MS;
    return false;
  }

  /** Arms the timer for the oldest job that is not overdue yet. One timer serves all jobs. */
  #watch(): void {
    if (this.#isWatched) return;
    const nowMs = this.#clock.nowMs();
    for (const { sinceMs } of this.#jobs) {
      const leftMs = sinceMs + CACHE_STALL_MS - nowMs;
      if (leftMs <= 0) continue;
      this.#isWatched = true;
      this.#clock.after(leftMs, () => this.#look());
      return;
    }
  }

  /** The timer has fired: if a job is overdue, those that wait are refused. */
  #look(): void {
    this.#isWatched = false;
    this.#watch();
    if (!this.#isOverdue()) return;
    for (const waiting of [...this.#waiting.read.splice(0), ...this.#waiting.write.splice(0)])
      waiting.refuse(new DiskStalled());
  }

  /** Whether a job is running or waiting. */
  get isBusy(): boolean {
    return this.#running.read + this.#running.write > 0;
  }

  /** Jobs of a kind that have not started. */
  waiting(kind: IoKind): number {
    return this.#waiting[kind].length;
  }

  /** Whether one more job may run. No job waits while there is room. */
  #hasRoom(): boolean {
    return this.#running.read + this.#running.write < this.#depth;
  }

  #next(): void {
    while (this.#hasRoom()) {
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
