import { Piscina } from 'piscina';
import { POOL_TASKS_PER_THREAD, THREAD_HEAP, TRANSFER_THREADS } from '../limits.ts';
import type { DigestJob, DigestResult, DigestStart } from '../workers/digest.ts';
import type { PoolJob, PoolStart, PoolTasks } from '../workers/pool.ts';

/** The two pools of a node, typed: see lib/workers/pool.ts and lib/workers/digest.ts for what they do. */
export interface Pools {
  run<Kind extends keyof PoolTasks>(job: PoolTasks[Kind][0] & { kind: Kind }): Promise<PoolTasks[Kind][1]>;
  digest(job: DigestJob): Promise<DigestResult>;
  /** Resolves when every transfer thread has loaded its modules: the first reads must not wait for that. */
  ready(): Promise<void>;
  /** Jobs waiting for a thread. */
  queued(): number;
  /** Ends the threads; what they were at is lost. */
  close(): Promise<void>;
}

/** Threads live as long as the node, and stay in their event loops between tasks: they hold connections. */
const FOREVER = { idleTimeout: Number.POSITIVE_INFINITY, atomics: 'disabled', resourceLimits: THREAD_HEAP } as const;

export function startPools(start: PoolStart, digestStart: DigestStart): Pools {
  const transfer = new Piscina<PoolJob, unknown>({
    ...FOREVER,
    filename: new URL('../workers/pool.ts', import.meta.url).href,
    minThreads: TRANSFER_THREADS,
    maxThreads: TRANSFER_THREADS,
    concurrentTasksPerWorker: POOL_TASKS_PER_THREAD,
    workerData: start,
  });
  const digest = new Piscina<DigestJob, DigestResult>({
    ...FOREVER,
    filename: new URL('../workers/digest.ts', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    workerData: digestStart,
  });
  let closing = false;
  /** A job cut off by the end of its thread never settles: whoever waits for it ends, too, and must not take it for a fault. */
  const carried = async <Result>(job: Promise<Result>): Promise<Result> => {
    try {
      return await job;
    } catch (thrown) {
      if (closing) return new Promise(() => undefined);
      throw thrown;
    }
  };
  return {
    run: (job) => carried(transfer.run(job)) as never,
    digest: (job) => carried(digest.run(job)),
    async ready() {
      await Promise.all(Array.from({ length: TRANSFER_THREADS }, () => transfer.run({ kind: 'ready' })));
    },
    queued: () => transfer.queueSize + digest.queueSize,
    async close() {
      closing = true;
      await Promise.all([transfer.destroy(), digest.destroy()]);
    },
  };
}
