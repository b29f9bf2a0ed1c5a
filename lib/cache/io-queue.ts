export type IoKind = 'read' | 'write';

/**
 * Lets at most `depth` jobs at the disk at a time. Somebody waits for a read, so reads go first; but when writes wait,
 * one of them is always under way, or a busy node would never store anything. What waits is bounded by
 * the arena: every job has a slot of its own.
 */
export class IoQueue {
  readonly #depth: number;
  readonly #waiting: Record<IoKind, (() => void)[]> = { read: [], write: [] };
  readonly #running: Record<IoKind, number> = { read: 0, write: 0 };

  constructor(depth: number) {
    this.#depth = depth;
  }

  /** Runs `job` when its turn comes; settles as it does. */
  async run<T>(kind: IoKind, job: () => Promise<T>): Promise<T> {
    await new Promise<void>((start) => {
      this.#waiting[kind].push(start);
      this.#next();
    });
    try {
      return await job();
    } finally {
      this.#running[kind]--;
      this.#next();
    }
  }

  #next(): void {
    while (this.#running.read + this.#running.write < this.#depth) {
      const writeDue = this.#waiting.write.length > 0 && (this.#running.write === 0 || this.#waiting.read.length === 0);
      const kind = writeDue ? 'write' : 'read';
      const start = this.#waiting[kind].shift();
      if (start === undefined) return;
      this.#running[kind]++;
      start();
    }
  }
}
