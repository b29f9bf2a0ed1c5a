import { MessageChannel } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { Channel } from '../../workers/channel.ts';
import type { LineJob, LineResult, LineStart } from '../../workers/line.ts';
import { LOCAL, ShareQueue, type Share, type ShareTable } from '../../share-queue.ts';
import { PoolLoad } from './load.ts';
import { holdYoungGeneration } from './young-generation.ts';

interface Waiting {
  share: Share;
  heard?: ((part: unknown) => void) | undefined;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

interface Line<Job> {
  channel: Channel<LineJob<Job>, LineResult>;
  /** Whether its thread has loaded its modules, and would begin a job at once. */
  serves: boolean;
  underWay: Map<number, Waiting>;
}

/**
 * Jobs for the threads of a pool. Piscina keeps the threads; each of them runs one task for as long
 * as it lives, and gets its jobs through a line of its own, batched (lib/workers/line.ts): a task
 * of Piscina's for each job costs twice the processor time. A job goes to the thread with the
 * fewest under way; beyond `jobsPerThreadMax`, or its share (share-queue.ts), it waits. Threads
 * that are not there from the start come with the first job: a node that nobody uses holds no
 * memory for them, and one that
 * is used pays their start once.
 */
export class Lines<Job> {
  readonly #pool: Piscina<LineStart, void>;
  readonly #threads: number;
  readonly #load: PoolLoad;
  readonly #jobsPerThreadMax: number;
  readonly #lines: Line<Job>[] = [];
  readonly #queue: ShareQueue<Waiting & { job: Job }>;
  /** The first job of every thread that is yet to start. */
  #standing: Job | null = null;
  #nextId = 0;
  #closed = false;

  constructor(
    pool: Piscina<LineStart, void>,
    threads: { atStart: number; all: number },
    jobsPerThreadMax: number,
    shares: ShareTable = {},
  ) {
    this.#queue = new ShareQueue(shares);
    this.#pool = pool;
    this.#threads = threads.all;
    this.#load = new PoolLoad(() => pool.threads);
    this.#jobsPerThreadMax = jobsPerThreadMax;
    for (let thread = 0; thread < threads.atStart; thread++) this.#open();
  }

  /** Jobs waiting for a thread. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Rejects only when the thread dies over it, or on a fault of ours; never settles once closed.
   * `heard` is given what the job says on its way.
   */
  run(job: Job, heard?: (part: unknown) => void, share: Share = LOCAL): Promise<unknown> {
    if (this.#lines.length === 0 || (this.#lines.length < this.#threads && this.#load.isBusy))
      this.#open();
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, heard, share, resolve, reject });
      this.#next();
    });
  }

  /**
   * As `run`, but on the first thread, at once: jobs that share what that thread holds. Callers
   * bound their number themselves.
   */
  runOnFirst(job: Job, heard?: (part: unknown) => void): Promise<unknown> {
    while (this.#lines.length < this.#threads) this.#open();
    return new Promise((resolve, reject) =>
      this.#send(this.#lines[0]!, { job, heard, share: LOCAL, resolve, reject }),
    );
  }

  /** Resolves once `job` was carried out by every thread there is. */
  everywhere(job: Job): Promise<unknown[]> {
    return Promise.all(
      this.#lines.map(
        (line) =>
          new Promise((resolve, reject) =>
            this.#send(line, { job, share: LOCAL, resolve, reject }),
          ),
      ),
    );
  }

  /** As `everywhere`, and by each thread that starts later, before anything else. */
  async always(job: Job): Promise<void> {
    this.#standing = job;
    await this.everywhere(job);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.destroy();
  }

  #open(): void {
    const { port1, port2 } = new MessageChannel();
    const underWay = new Map<number, Waiting>();
    const line: Line<Job> = {
      serves: false,
      underWay,
      channel: new Channel<LineJob<Job>, LineResult>(port1, (result) => this.#settle(line, result)),
    };
    this.#lines.push(line);
    this.#pool.run({ port: port2 }, { transferList: [port2] }).then(
      () => this.#lost(line, new Error('a thread of the pool has ended')),
      (thrown: unknown) => this.#lost(line, thrown),
    );
    if (this.#standing !== null)
      this.#send(line, {
        job: this.#standing,
        share: LOCAL,
        resolve: () => undefined,
        reject: () => undefined,
      });
  }

  /** The thread is gone, with all it was at: another one takes its place. */
  #lost(line: Line<Job>, error: unknown): void {
    if (this.#closed) return;
    this.#lines.splice(this.#lines.indexOf(line), 1);
    line.channel.close();
    this.#open();
    for (const waiting of line.underWay.values()) {
      this.#queue.over(waiting.share);
      waiting.reject(error);
    }
    this.#next();
  }

  #next(): void {
    while (this.#queue.size > 0) {
      const line = this.#lines.reduce((best, other) =>
        this.#isBetter(other, best) ? other : best,
      );
      if (line.underWay.size >= this.#jobsPerThreadMax) return;
      const next = this.#queue.take();
      if (next === null) return;
      this.#send(line, next);
    }
  }

  /** One that is still loading gets a job only when there is no other. */
  #isBetter(one: Line<Job>, other: Line<Job>): boolean {
    return one.serves === other.serves ? one.underWay.size < other.underWay.size : one.serves;
  }

  #send(line: Line<Job>, { job, ...waiting }: Waiting & { job: Job }): void {
    const id = this.#nextId++;
    line.underWay.set(id, waiting);
    line.channel.send({ id, job });
  }

  #settle(line: Line<Job>, settled: LineResult): void {
    if ('serves' in settled) {
      line.serves = true;
      holdYoungGeneration();
      return this.#next();
    }
    const waiting = line.underWay.get(settled.id);
    if ('part' in settled) {
      if (!this.#closed) waiting?.heard?.(settled.part);
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
