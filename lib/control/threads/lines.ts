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
  /** Whether its thread has loaded its modules, so that a job starts at once. */
  serves: boolean;
  underWay: Map<number, Waiting>;
}

/**
 * Jobs for the threads of a pool. Piscina owns the threads. Each thread runs one Piscina task for
 * its whole life and receives jobs in batches through a line (lib/workers/line.ts); one Piscina
 * task per job would cost twice the CPU time. A job goes to the thread with the fewest running
 * jobs. It waits if every thread has `jobsPerThreadMax`, or if its share (share-queue.ts) is used
 * up. Threads beyond the first ones start with the first job, so an idle node holds no memory for
 * them.
 */
export class Lines<Job> {
  readonly #pool: Piscina<LineStart, void>;
  readonly #threads: number;
  readonly #load: PoolLoad;
  readonly #jobsPerThreadMax: number;
  readonly #lines: Line<Job>[] = [];
  readonly #queue: ShareQueue<Waiting & { job: Job }>;
  /** The job that each new thread runs first. */
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
   * Rejects only if the thread dies, or for a fault in Shoal itself; never settles after `close`.
   * `heard` gets the parts of a result as they arrive.
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
   * As `run`, but at once and on the first thread, for jobs that share what that thread holds. The
   * caller bounds their number.
   */
  runOnFirst(job: Job, heard?: (part: unknown) => void): Promise<unknown> {
    while (this.#lines.length < this.#threads) this.#open();
    return new Promise((resolve, reject) =>
      this.#send(this.#lines[0]!, { job, heard, share: LOCAL, resolve, reject }),
    );
  }

  /** Resolves when every running thread has run `job`. */
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

  /** As `everywhere`; each thread that starts later runs `job` first. */
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

  /** The thread has died and its jobs are lost: starts another one. */
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

  /** A thread that is still loading gets a job only if there is no other. */
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
