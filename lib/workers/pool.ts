import { workerData } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import { systemClock } from '../clock.ts';
import { ShoalError, type WireError } from '../errors.ts';
import { Arena, type ArenaShared } from '../io/arena.ts';
import { readFilePart, type FileReadJob, type FileReadOutcome } from '../io/file-part.ts';
import { Doorbells } from '../io/doorbell.ts';
import {
  readExtent,
  writeDescriptor,
  writeExtent,
  type ReadJob,
  type ReadOutcome,
  type WriteJob,
  type WriteOutcome,
} from '../io/slab.ts';
import { threadLooks } from '../io/looks.ts';
import { socketOptions } from '../io/socket-options.ts';
import type { OriginTarget, Redirect } from '../origin-target.ts';
import { VOUCHED_BUCKETS_MAX } from '../registry/limits.ts';
import { OriginClient } from '../origin/client.ts';
import type { OriginOptions } from '../origin/connections.ts';
import type { PingAnswer } from '../origin/outages.ts';
import type { HeadFact } from '../origin/range-asker.ts';
import type { RelayAnswer } from '../origin/relay.ts';
import type { Bucket } from '../registry/vouching.ts';
import type { LineTest, StatResult } from '../swarm/types.ts';
import { Meter } from '../telemetry/counters.ts';
import { watchLoopDelay } from '../telemetry/loop-delay.ts';
import type { PreadResult } from '../wire/pread.ts';
import { BlobHashes, type DigestJob, type DigestResult } from './blob-hashes.ts';
import { probeOrigin, relayToOrigin } from './origin-jobs.ts';
import { readFromOrigin, type OriginReadJob } from './origin-read.ts';
import { callPeer, type PeerCallJob, type PeerCallResult } from './peer/call.ts';
import { PeerConnections } from './peer/connection.ts';
import { testLine, type LineJob } from './peer/line.ts';
import { readAndCount, type PeerReadJob, type TransferTools } from './peer/read.ts';
import { Moved, serveLine, type LineStart, type Tell } from './line.ts';
import { nameThread } from './thread-name.ts';
import { askStat, type StatJob } from './peer/stat.ts';

/** What each transfer thread is started with. */
export interface PoolStart {
  arena: ArenaShared;
  doorbells: SharedArrayBuffer;
  meters: SharedArrayBuffer;
  origin: OriginOptions;
  slabFd: number | null;
  directFd: number | null;
}

/** Whether the client's own credential opens the blob: a GET of one byte. */
export interface ProbeJob extends OriginTarget {
  kind: 'probe';
  /** What is known of the origin's support for ranges. */
  ranges?: HeadFact['ranges'];
}

export type ProbeResult =
  /** `totalBytes` null: the upstream does not tell the size. */
  | {
      kind: 'granted';
      totalBytes: number | null;
      ranges?: HeadFact['ranges'];
      buckets?: Bucket[];
    }
  | { kind: 'failed'; error: WireError };

/** Whether a registry answers at all; see lib/origin/outages.ts. */
interface PingJob {
  kind: 'ping';
  /** `scheme://host[:port]` */
  origin: string;
}

/** Replaces the options with which origins are read. */
interface ConfigureJob {
  kind: 'configure';
  options: OriginOptions;
}

/** Opens a stream of the rest of an object; see OriginClient.hold. */
export interface HoldJob extends OriginTarget {
  kind: 'hold';
  fromBytes: number;
  /** null: unknown. */
  totalBytes: number | null;
  redirect?: Redirect | undefined;
}

export interface RelayJob {
  kind: 'relay';
  method: string;
  url: string;
  upstreamHost: string;
  headers: Record<string, string>;
  /** Whether the body of a 200 may be a manifest: then its digest is computed. */
  isManifest: boolean;
}

/**
 * `manifest`: digest (`sha256:...`) and checksum (hex) of a body that may be a manifest and is at
 * most one shard long.
 */
export type RelayResult =
  | ({ kind: 'answer'; manifest: { digest: string; checksum: string } | null } & RelayAnswer)
  | { kind: 'failed'; error: WireError };

/**
 * Every job of the pool and its result. No job rejects, because an Error loses its code between
 * threads.
 */
export interface PoolTasks {
  /**
   * Resolves when the thread runs. `lowWater`: why it cannot set the low-water mark of sockets;
   * empty if it can.
   */
  ready: [{ kind: 'ready' }, { kind: 'ready'; lowWater: string }];
  peer: [PeerReadJob, PreadResult];
  stat: [StatJob, StatResult];
  call: [PeerCallJob, PeerCallResult];
  line: [LineJob, LineTest];
  /** Sends a result for each shard as it ends. `buckets`: see `newBuckets`. */
  origin: [OriginReadJob, { kind: 'over'; buckets: Bucket[] }];
  hold: [HoldJob, { kind: 'hold'; opened: boolean }];
  probe: [ProbeJob, ProbeResult];
  ping: [PingJob, { status: PingAnswer }];
  relay: [RelayJob, RelayResult];
  /** See BlobHashes and DigestPlaces. */
  digest: [{ kind: 'digest'; digest: DigestJob }, DigestResult];
  configure: [ConfigureJob, { kind: 'configured' }];
  diskRead: [
    { kind: 'diskRead' } & ReadJob,
    { kind: 'done'; outcome: ReadOutcome } | { kind: 'failed'; error: WireError },
  ];
  fileRead: [
    { kind: 'fileRead' } & FileReadJob,
    { kind: 'done'; outcome: FileReadOutcome } | { kind: 'failed'; error: WireError },
  ];
  diskWrite: [
    { kind: 'diskWrite' } & WriteJob,
    { kind: 'done'; outcome: WriteOutcome } | { kind: 'failed'; error: WireError },
  ];
}

export type PoolJob = PoolTasks[keyof PoolTasks][0];

nameThread('transfer');
const start = workerData as PoolStart;
const meter = Meter.claim(start.meters, 'transfer');
watchLoopDelay(meter, systemClock);
const tools: TransferTools = {
  arena: new Arena(start.arena),
  doorbells: new Doorbells(start.doorbells),
  peers: new PeerConnections(() => performance.now()),
  looks: threadLooks,
  nowMs: systemClock.nowMs,
  after: systemClock.after,
};
const hashes = new BlobHashes(tools.arena);
/**
 * Buckets that registries redirected to, for control to learn (see Vouching); each is reported
 * once.
 */
let newBuckets: Bucket[] = [];
const reported = new LRUCache<string, true>({ max: VOUCHED_BUCKETS_MAX });
const origin = new OriginClient(start.origin, {
  env: process.env,
  redirected(bucket) {
    const name = `${bucket.registry} ${bucket.prefix}`;
    if (reported.has(name)) return;
    reported.set(name, true);
    newBuckets.push(bucket);
  },
});

function takeBuckets(): Bucket[] {
  const taken = newBuckets;
  newBuckets = [];
  return taken;
}

/** Carries out one job. */
async function run(job: PoolJob, tell: Tell): Promise<unknown> {
  const startMs = tools.nowMs();
  const micros = (): number => (tools.nowMs() - startMs) * 1000;
  switch (job.kind) {
    case 'ready':
      return { kind: 'ready', lowWater: socketOptions().reason };
    case 'peer':
      return readAndCount(job, tools, meter);
    case 'stat':
      return askStat(job, tools);
    case 'call': {
      const result = await callPeer(job, tools);
      return result.kind === 'answer' ? moved(result, result.body) : result;
    }
    case 'line':
      return testLine(job, tools);
    case 'origin': {
      let beganMs = startMs;
      await readFromOrigin(
        job,
        origin,
        tools,
        (result, { fromBytes }) => {
          const bytes =
            (result.kind === 'data' ? result.lengthBytes : result.receivedBytes) - fromBytes;
          const tookUs = (tools.nowMs() - beganMs) * 1000;
          meter.record('download', bytes, tookUs, result.kind === 'failed');
          meter.observe('download', tookUs);
          beganMs = tools.nowMs();
          tell(result);
        },
        // A client waits for the size. The turn may go on with megabytes of the body.
        (fact) => tell({ kind: 'head', ...fact }, true),
      );
      return { kind: 'over', buckets: takeBuckets() };
    }
    case 'ping':
      return { status: await origin.ping(job.origin) };
    case 'configure':
      origin.configure(job.options);
      return { kind: 'configured' };
    case 'digest':
      return hashes.run(job.digest);
    case 'hold': {
      const opened = await origin
        .hold(job, job)
        // Without a stream, the reads continue as before and report their own errors.
        .catch(() => false);
      return { kind: 'hold', opened };
    }
    case 'probe': {
      const result = await probeOrigin(job, origin);
      meter.observe('accessCheck', micros());
      return result.kind === 'granted' ? { ...result, buckets: takeBuckets() } : result;
    }
    case 'relay': {
      const result = await relayToOrigin(job, origin);
      meter.observe('relay', micros());
      meter.count(result.kind === 'answer' ? 'relay.done' : 'relay.failed');
      return result.kind === 'answer' ? moved(result, result.body) : result;
    }
    case 'fileRead':
    case 'diskRead':
    case 'diskWrite': {
      const result = await disk(job);
      meter.record(
        'disk',
        result.kind === 'done' ? job.lengthBytes : 0,
        micros(),
        result.kind === 'failed',
      );
      meter.observe(job.kind === 'diskWrite' ? 'filewrite' : 'fileread', micros());
      return result;
    }
  }
}

type DiskKind = 'diskRead' | 'diskWrite' | 'fileRead';

async function disk(job: PoolTasks[DiskKind][0]): Promise<PoolTasks[DiskKind][1]> {
  try {
    if (job.kind === 'fileRead')
      return { kind: 'done', outcome: await readFilePart(tools.arena, job) };
    if (start.slabFd === null) throw new ShoalError('DISK_FAILED', 'there is no slab');
    if (job.kind === 'diskRead')
      return { kind: 'done', outcome: await readExtent(start.slabFd, tools.arena, job) };
    const fd = writeDescriptor({ slabFd: start.slabFd, directFd: start.directFd }, job);
    return { kind: 'done', outcome: await writeExtent(fd, tools.arena, job) };
  } catch (thrown) {
    const error = ShoalError.from(thrown, 'DISK_FAILED').toWire();
    const cause = thrown instanceof ShoalError ? thrown.cause : thrown;
    const system = (cause as NodeJS.ErrnoException | undefined)?.code;
    return { kind: 'failed', error: system === undefined ? error : { ...error, system } };
  }
}

/** Returns `value` to control with `bytes` transferred, not copied. */
function moved(value: object, bytes: Uint8Array): unknown {
  const whole = bytes.byteLength === bytes.buffer.byteLength;
  // A small Buffer is a view of a pool that others share. The pool must not be transferred, so the
  // view is copied.
  return whole ? new Moved(value, bytes.buffer as ArrayBuffer) : value;
}

export default (line: LineStart): Promise<void> => serveLine<PoolJob>(line, run);
