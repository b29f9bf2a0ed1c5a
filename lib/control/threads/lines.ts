import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { Channel } from '../../workers/channel.ts';
import type { LineJob, LineResult } from '../../workers/line.ts';
import { LOCAL, ShareQueue, type Share, type ShareTable } from '../../share-queue.ts';
import { ShoalError } from '../../errors.ts';
import { THREAD_BUSY_SHARE, THREAD_PATIENCE_MS, THREAD_RESTART_MS } from '../limits.ts';
import { PoolLoad } from './load.ts';
import { restrainHeaps } from '../../heap.ts';

/** The thread that had a job ended before the job was done. */
export class ThreadLost extends ShoalError {
  constructor(cause: Error) {
    super('THREAD_LOST', `a thread of this node ended: ${cause.message}`, { cause });
    this.name = 'ThreadLost';
  }
}

interface Waiting<Job> {
  job: Job;
  share: Share;
  heard?: ((part: unknown) => void) | undefined;
  /** Whether it is for this thread, or for any. */
  place: 'this' | 'any';
  /** Until when another thread may begin it again (`clock.nowMs`); -Infinity: it may not. */
  againUntilMs: number;
  /** When it began to wait. */
  sinceMs: number;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

interface Line<Job> {
  worker: Worker;
  channel: Channel<LineJob<Job>, LineResult>;
  /** Whether its thread has loaded its modules, so that a job starts at once. */
  serves: boolean;
  underWay: Map<number, Waiting<Job>>;
}

interface LinesOptions<Job> {
  /** Starts a thread that serves jobs from `port`. */
  start(port: MessagePort): Worker;
  threads: { atStart: number; all: number };
  jobsPerThreadMax: number;
  shares?: ShareTable;
  /**
   * Whether a job can be done by a thread that knows nothing of earlier ones. Such a job is begun
   * again, for THREAD_PATIENCE_MS, each time its thread ends before it has said anything.
   */
  isRepeatable(job: Job): boolean;
  clock: Pick<Clock, 'after' | 'nowMs'>;
  /** A thread ended unasked, or could not be started. */
  lost(error: Error): void;
}

/**
 * Jobs for threads that each have a line of their own, batched (lib/workers/line.ts). A job goes to
 * the thread with the fewest under way; beyond `jobsPerThreadMax`, or its share (share-queue.ts),
 * it waits. Threads that are not there from the start come with the first job: a node that nobody
 * uses holds no memory for them, and one that is used pays their start once. A thread that ends is
 * replaced; one that cannot be started is tried again THREAD_RESTART_MS later.
 */
export class Lines<Job> {
  readonly #options: LinesOptions<Job>;
  readonly #load = new PoolLoad(() => this.#lines.map(({ worker }) => worker), THREAD_BUSY_SHARE);
  readonly #lines: Line<Job>[] = [];
  readonly #queue: ShareQueue<Waiting<Job>>;
  /** The first job of every thread that is yet to start. */
  #standing: Job | null = null;
  /** Jobs that wait for the first thread. */
  #forFirst: Waiting<Job>[] = [];
  #restarting = false;
  #nextId = 0;
  #closed = false;

  constructor(options: LinesOptions<Job>) {
    this.#options = options;
    this.#queue = new ShareQueue(options.shares ?? {});
    for (let thread = 0; thread < options.threads.atStart; thread++) this.#open();
  }

  /** Jobs waiting for a thread. */
  get queued(): number {
    return this.#queue.size;
  }

  /** How long the next job has waited that its share does not hold back; 0: there is none. */
  get stalledMs(): number {
    const next = this.#queue.peek();
    return next === null ? 0 : this.#options.clock.nowMs() - next.sinceMs;
  }

  get threads(): number {
    return this.#lines.length;
  }

  /** See PoolLoad.isBusy. */
  get isBusy(): boolean {
    return this.#load.isBusy;
  }

  /**
   * Rejects with ThreadLost when the thread ends over it, or on a fault of ours; never settles once
   * closed. `heard` is given what the job says on its way.
   */
  run(job: Job, heard?: (part: unknown) => void, share: Share = LOCAL): Promise<unknown> {
    const { isRepeatable, clock } = this.#options;
    this.#openIfBusy();
    const sinceMs = clock.nowMs();
    const againUntilMs = isRepeatable(job) ? sinceMs + THREAD_PATIENCE_MS : -Infinity;
    return new Promise((resolve, reject) => {
      const waiting = { job, heard, share, place: 'any', againUntilMs, sinceMs } as const;
      this.#queue.push({ ...waiting, resolve, reject });
      this.#next();
    });
  }

  /**
   * As `run`, but at once and on the first thread, for jobs that share what that thread holds. The
   * caller bounds their number.
   */
  runOnFirst(job: Job, heard?: (part: unknown) => void): Promise<unknown> {
    this.#openIfBusy();
    return new Promise((resolve, reject) => {
      const waiting = { ...forThis(job), heard, resolve, reject };
      const [first] = this.#lines;
      if (first === undefined) this.#forFirst.push(waiting);
      else this.#send(first, waiting);
    });
  }

  /** Resolves when every running thread has run `job`. */
  everywhere(job: Job): Promise<unknown[]> {
    return Promise.all(
      this.#lines.map(
        (line) =>
          new Promise((resolve, reject) => this.#send(line, { ...forThis(job), resolve, reject })),
      ),
    );
  }

  /** As `everywhere`; each thread that starts later runs `job` first. */
  async always(job: Job): Promise<void> {
    this.#standing = job;
    // A thread that ends over it is replaced by one that begins with it.
    await Promise.allSettled([this.everywhere(job)]);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#lines.map(({ worker }) => worker.terminate()));
  }

  #openIfBusy(): void {
    const { length } = this.#lines;
    if (length === 0 || (length < this.#options.threads.all && this.#load.isBusy)) this.#open();
  }

  #open(): void {
    if (this.#restarting || this.#closed) return;
    const { port1, port2 } = new MessageChannel();
    let worker: Worker;
    try {
      worker = this.#options.start(port2);
    } catch (thrown) {
      port1.close();
      this.#restartLater(thrown as Error);
      return;
    }
    const line: Line<Job> = {
      worker,
      serves: false,
      underWay: new Map(),
      channel: new Channel<LineJob<Job>, LineResult>(port1, (result) => this.#settle(line, result)),
    };
    this.#lines.push(line);
    let cause: Error | null = null;
    worker.once('error', (error: Error) => (cause = error));
    worker.once('exit', (code) =>
      this.#lost(line, cause ?? new Error(`a thread exited with code ${code}`)),
    );
    if (this.#standing !== null)
      this.#send(line, {
        ...forThis(this.#standing),
        resolve: () => undefined,
        reject: () => undefined,
      });
    for (const waiting of this.#forFirst.splice(0)) this.#send(line, waiting);
  }

  /** The thread is gone, with all it was at: another one takes its place. */
  #lost(line: Line<Job>, cause: Error): void {
    if (this.#closed) return;
    this.#lines.splice(this.#lines.indexOf(line), 1);
    // Messages that the thread sent may arrive after its end, also the one that it serves.
    line.channel.drain();
    line.channel.close();
    if (line.serves) {
      this.#options.lost(cause);
      this.#open();
    } else this.#restartLater(cause);
    const error = new ThreadLost(cause);
    const nowMs = this.#options.clock.nowMs();
    for (const waiting of line.underWay.values()) {
      this.#queue.over(waiting.share);
      // A thread that never served has not begun its jobs; those meant for it alone are rejected.
      const isBegun = line.serves || waiting.place === 'this';
      if (!isBegun || nowMs < waiting.againUntilMs) this.#queue.push(waiting);
      else waiting.reject(error);
    }
    this.#next();
  }

  /** A thread cannot be started now, for example because no descriptor is free. */
  #restartLater(cause: Error): void {
    this.#options.lost(cause);
    if (this.#restarting) return;
    this.#restarting = true;
    this.#options.clock.after(THREAD_RESTART_MS, () => {
      this.#restarting = false;
      if (this.#lines.length < Math.max(1, this.#options.threads.atStart)) this.#open();
      this.#next();
    });
  }

  #next(): void {
    while (this.#queue.size > 0 && this.#lines.length > 0) {
      const line = this.#lines.reduce((best, other) =>
        this.#isBetter(other, best) ? other : best,
      );
      if (line.underWay.size >= this.#options.jobsPerThreadMax) return;
      const next = this.#queue.take();
      if (next === null) return;
      this.#send(line, next);
    }
  }

  /** A thread that is still loading gets a job only if there is no other. */
  #isBetter(one: Line<Job>, other: Line<Job>): boolean {
    return one.serves === other.serves ? one.underWay.size < other.underWay.size : one.serves;
  }

  #send(line: Line<Job>, waiting: Waiting<Job>): void {
    const id = this.#nextId++;
    line.underWay.set(id, waiting);
    line.channel.send({ id, job: waiting.job });
  }

  #settle(line: Line<Job>, settled: LineResult): void {
    if ('serves' in settled) {
      line.serves = true;
      restrainHeaps();
      return this.#next();
    }
    const waiting = line.underWay.get(settled.id);
    if ('part' in settled) {
      if (this.#closed || waiting === undefined) return;
      // Messages that were sent cannot be withdrawn: the job is not started again.
      waiting.againUntilMs = -Infinity;
      waiting.heard?.(settled.part);
      return;
    }
    line.underWay.delete(settled.id);
    if (waiting !== undefined) this.#queue.over(waiting.share);
    if (this.#closed) return;
    if ('thrown' in settled) waiting?.reject(new Error(settled.thrown));
    else waiting?.resolve(settled.result);
    if (this.#queue.size > 0) this.#next();
  }
}

function forThis<Job>(job: Job): Omit<Waiting<Job>, 'heard' | 'resolve' | 'reject'> {
  return { job, share: LOCAL, place: 'this', againUntilMs: -Infinity, sinceMs: 0 };
}
