import { Piscina } from 'piscina';
import { POOL_TASKS_PER_THREAD, TRANSFER_THREADS } from '../../limits.ts';
import type { DigestJob, DigestResult, DigestStart } from '../../workers/digest.ts';
import type { LineStart } from '../../workers/line.ts';
import type { OriginReadJob, OriginReadNews } from '../../workers/origin-read.ts';
import { THREAD_OPTIONS } from '../../workers/thread-options.ts';
import type { Bucket } from '../../registry/vouching.ts';
import type { HoldJob, PoolJob, PoolStart, PoolTasks } from '../../workers/pool.ts';
import { Lines } from './lines.ts';
import { LOCAL, UNVOUCHED, type Share } from '../../share-queue.ts';
import { TRANSFER_SHARES } from '../limits.ts';

/**
 * The two pools of a node, with their types; lib/workers/pool.ts and lib/workers/digest.ts run
 * their jobs.
 */
export interface Pools {
  run<Kind extends keyof PoolTasks>(
    job: PoolTasks[Kind][0] & { kind: Kind },
  ): Promise<PoolTasks[Kind][1]>;
  /**
   * Reads shards from the origin; `heard` gets the result of each, in order. With `mayStream`,
   * reads run on the first thread: only reads of one thread can share a stream.
   */
  origin(
    job: OriginReadJob,
    heard: (news: OriginReadNews) => void,
    mayStream: boolean,
  ): Promise<void>;
  /** Opens a stream for reads with `mayStream`; resolves with whether it is open. */
  hold(job: HoldJob): Promise<boolean>;
  /** Replaces the options with which origins are read; running reads keep theirs. */
  configure(options: PoolStart['origin']): Promise<void>;
  digest(job: DigestJob): Promise<DigestResult>;
  /**
   * Resolves when a transfer thread has loaded its modules, so that the first reads need not wait.
   */
  ready(): Promise<{ lowWater: string }>;
  /** Jobs waiting for a thread. */
  queued(): number;
  /** Ends the threads; their running jobs are lost. */
  close(): Promise<void>;
}

/**
 * Threads live as long as the node. They stay in their event loops between jobs, because they hold
 * connections.
 */
const FOREVER = {
  idleTimeout: Number.POSITIVE_INFINITY,
  atomics: 'disabled',
  ...THREAD_OPTIONS,
} as const;

/** Tells which sources are vouched for; see Vouching. */
interface Vouch {
  learn(bucket: Bucket): void;
  isVouched(url: string): boolean;
}

export function startPools(start: PoolStart, digestStart: DigestStart, vouch: Vouch): Pools {
  const threads = (file: string, count: number, workerData: unknown): Piscina<LineStart, void> =>
    new Piscina({
      ...FOREVER,
      filename: new URL(file, import.meta.url).href,
      minThreads: 0,
      maxThreads: count,
      concurrentTasksPerWorker: 1,
      workerData,
    });
  const transfer = new Lines<PoolJob>(
    threads('../../workers/pool.ts', TRANSFER_THREADS, start),
    { atStart: 1, all: TRANSFER_THREADS },
    POOL_TASKS_PER_THREAD,
    TRANSFER_SHARES,
  );
  const digest = new Lines<DigestJob>(
    threads('../../workers/digest.ts', 1, digestStart),
    { atStart: 0, all: 1 },
    POOL_TASKS_PER_THREAD,
  );
  const learnAll = (result: unknown): void => {
    const { buckets } = result as { buckets?: Bucket[] };
    for (const bucket of buckets ?? []) vouch.learn(bucket);
  };
  return {
    async run(job) {
      const result = await transfer.run(job, undefined, shareOf(job, vouch));
      if (job.kind === 'probe') learnAll(result);
      return result as never;
    },
    async origin(job, heard, mayStream) {
      const hear = heard as (part: unknown) => void;
      learnAll(
        await (mayStream
          ? transfer.runOnFirst(job, hear)
          : transfer.run(job, hear, shareOf(job, vouch))),
      );
    },
    async hold(job) {
      const { opened } = (await transfer.runOnFirst(job)) as PoolTasks['hold'][1];
      return opened;
    },
    configure: (options) => transfer.always({ kind: 'configure', options }),
    digest: (job) => digest.run(job) as Promise<DigestResult>,
    async ready() {
      const [ready] = (await transfer.everywhere({ kind: 'ready' })) as PoolTasks['ready'][1][];
      return { lowWater: ready?.lowWater ?? '' };
    },
    queued: () => transfer.queued + digest.queued,
    async close() {
      await Promise.all([transfer.close(), digest.close()]);
    },
  };
}

/**
 * The share of a job: its upstream and its client. All hosts that no configured registry vouches
 * for are one upstream, because clients choose how many of them they name.
 */
function shareOf(job: PoolJob, vouch: Vouch): Share {
  if (job.kind !== 'probe' && job.kind !== 'relay' && job.kind !== 'origin') return LOCAL;
  const credential =
    job.kind === 'relay' ? (job.headers['authorization'] ?? '') : (job.authorization ?? '');
  return {
    lane: job.kind === 'origin' ? 'read' : 'ask',
    upstream: vouch.isVouched(job.url) ? job.upstreamHost : UNVOUCHED,
    client: credential,
  };
}
