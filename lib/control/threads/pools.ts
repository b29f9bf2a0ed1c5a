import type { MessagePort, Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import type { WireError } from '../../errors.ts';
import { POOL_TASKS_PER_THREAD, TRANSFER_THREADS } from '../../limits.ts';
import type { DigestJob, DigestResult } from '../../workers/blob-hashes.ts';
import type { DigestStart } from '../../workers/digest.ts';
import type { OriginReadJob, OriginReadNews } from '../../workers/origin-read.ts';
import type { Bucket } from '../../registry/vouching.ts';
import type { HoldJob, PoolJob, PoolStart, PoolTasks } from '../../workers/pool.ts';
import { DigestPlaces } from './digest-places.ts';
import type { PeerReadJob } from '../../workers/peer/read.ts';
import { DnsSilence } from './dns-silence.ts';
import type { FrontReads } from './front-reads.ts';
import { Lines, ThreadLost } from './lines.ts';
import { startThread } from './start-thread.ts';
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
   * Resolves when the threads that are started at once have loaded their modules: the first reads
   * must not wait for that.
   */
  ready(): Promise<{ lowWater: string }>;
  /** Jobs waiting for a thread. */
  queued(): number;
  /** For how long a job has been waiting that no share holds back, as all threads are busy. */
  stalledMs(): number;
  /** See DnsSilence. */
  dnsSilentMs(): number;
  /** Ends the threads; their running jobs are lost. */
  close(): Promise<void>;
}

/** What decides over sources; see Vouching. */
interface Vouch {
  learn(bucket: Bucket): void;
  isVouched(url: string): boolean;
}

/** How the pools of a node are run. */
interface PoolOptions {
  /** Starts all threads at once, instead of when they are needed. */
  startAll: boolean;
  frontReads: Pick<FrontReads, 'hasRoom' | 'run'>;
  clock: Pick<Clock, 'after' | 'nowMs'>;
  /** A thread ended, or could not be started; another one takes its place. */
  lost(thread: 'transfer' | 'digest', error: Error): void;
}

export function startPools(
  start: PoolStart,
  digestStart: DigestStart,
  vouch: Vouch,
  { startAll, frontReads, clock, lost }: PoolOptions,
): Pools {
  const thread =
    <Start>(file: string, startWith: Start) =>
    (port: MessagePort): Worker =>
      startThread(new URL(file, import.meta.url), startWith, port);
  const transfer = new Lines<PoolJob>({
    start: thread('../../workers/pool.ts', start),
    threads: { atStart: startAll ? TRANSFER_THREADS : 1, all: TRANSFER_THREADS },
    jobsPerThreadMax: POOL_TASKS_PER_THREAD,
    shares: TRANSFER_SHARES,
    // A read from a peer continues from the byte after the last that arrived.
    isRepeatable: ({ kind }) => kind !== 'peer',
    clock,
    lost: (error) => lost('transfer', error),
  });
  const digest = new Lines<DigestJob>({
    start: thread('../../workers/digest.ts', digestStart),
    threads: { atStart: startAll ? 1 : 0, all: 1 },
    jobsPerThreadMax: POOL_TASKS_PER_THREAD,
    // A hash that is under way is lost with its thread.
    isRepeatable: () => false,
    clock,
    lost: (error) => lost('digest', error),
  });
  const places = new DigestPlaces(transfer, digest);
  const learnAll = (result: unknown): void => {
    const { buckets } = result as { buckets?: Bucket[] };
    for (const bucket of buckets ?? []) vouch.learn(bucket);
  };
  const dns = new DnsSilence(clock);
  const isVouched = (job: PoolJob): boolean => asksOrigin(job) && vouch.isVouched(job.url);
  const noted = (job: PoolJob, result: unknown, vouched: boolean): void => {
    if (!asksOrigin(job) || !vouched) return;
    const { kind, error } = result as { kind: string; error?: WireError };
    if (kind !== 'over') dns.note(job.upstreamHost, error ?? null);
  };
  return {
    async run(job) {
      const vouched = isVouched(job);
      const running =
        job.kind === 'peer' && frontReads.hasRoom
          ? frontReads.run(job as PeerReadJob)
          : transfer.run(job, undefined, shareOf(job, vouched));
      const result = await running.catch((thrown: unknown) => lostResult(job, thrown));
      noted(job, result, vouched);
      if (job.kind === 'probe') learnAll(result);
      return result as never;
    },
    async origin(job, heard, mayStream) {
      const vouched = isVouched(job);
      const hear = (part: unknown): void => {
        noted(job, part, vouched);
        heard(part as OriginReadNews);
      };
      learnAll(
        await (mayStream
          ? transfer.runOnFirst(job, hear)
          : transfer.run(job, hear, shareOf(job, vouched))),
      );
    },
    async hold(job) {
      const { opened } = (await transfer.runOnFirst(job)) as PoolTasks['hold'][1];
      return opened;
    },
    configure: (options) => transfer.always({ kind: 'configure', options }),
    digest: (job) => places.run(job),
    async ready() {
      const [[ready]] = (await Promise.all([
        transfer.everywhere({ kind: 'ready' }),
        digest.everywhere({ kind: 'forget', key: '' }),
      ])) as [PoolTasks['ready'][1][], unknown];
      return { lowWater: ready?.lowWater ?? '' };
    },
    queued: () => transfer.queued + digest.queued,
    stalledMs: () => transfer.stalledMs,
    dnsSilentMs: () => dns.ms,
    async close() {
      await Promise.all([transfer.close(), digest.close()]);
    },
  };
}

/** The result of a job whose thread ended; faults of ours are thrown on. */
function lostResult(job: PoolJob, thrown: unknown): unknown {
  if (!(thrown instanceof ThreadLost)) throw thrown;
  // Not jobs of `run`.
  if (job.kind === 'ready' || job.kind === 'configure' || job.kind === 'digest') throw thrown;
  if (job.kind === 'ping') return { status: 'unasked' };
  if (job.kind === 'hold') return { kind: 'hold', opened: false };
  const error = thrown.toWire();
  return job.kind === 'peer'
    ? { kind: 'failed', error, receivedBytes: job.fromBytes }
    : { kind: 'failed', error };
}

function asksOrigin(job: PoolJob): job is Extract<PoolJob, { kind: 'probe' | 'relay' | 'origin' }> {
  return job.kind === 'probe' || job.kind === 'relay' || job.kind === 'origin';
}

/**
 * The share of a job: its upstream and its client. All hosts that no configured registry vouches
 * for are one upstream, because clients choose how many of them they name.
 */
function shareOf(job: PoolJob, isVouched: boolean): Share {
  if (!asksOrigin(job)) return LOCAL;
  const credential =
    job.kind === 'relay' ? (job.headers['authorization'] ?? '') : (job.authorization ?? '');
  return {
    lane: job.kind === 'origin' ? 'read' : 'ask',
    upstream: isVouched ? job.upstreamHost : UNVOUCHED,
    client: credential,
  };
}
