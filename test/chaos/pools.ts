import { ShoalError } from '../../lib/errors.ts';
import type { Pools } from '../../lib/control/threads/pools.ts';
import type { Arena } from '../../lib/io/arena.ts';
import type { Doorbells } from '../../lib/io/doorbell.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import type { FileReadJob } from '../../lib/io/file-part.ts';
import { HttpConnection, IdleConnections } from '../../lib/io/http-connection.ts';
import type { Look } from '../../lib/io/looks.ts';
import { LOOK_MS } from '../../lib/limits.ts';
import { BlobHashes, type DigestJob } from '../../lib/workers/blob-hashes.ts';
import { PEER_IDLE_SOCKET_MS, PEER_IDLE_SOCKETS_MAX } from '../../lib/workers/limits.ts';
import type { OriginClient } from '../../lib/origin/client.ts';
import { probeOrigin, relayToOrigin } from '../../lib/workers/origin-jobs.ts';
import { readFromOrigin } from '../../lib/workers/origin-read.ts';
import { callPeer } from '../../lib/workers/peer/call.ts';
import { readFromPeer, type TransferTools } from '../../lib/workers/peer/read.ts';
import { askStat } from '../../lib/workers/peer/stat.ts';
import type { PoolJob } from '../../lib/workers/pool.ts';
import type { ContentShelf } from './content-shelf.ts';
import type { Disk } from './disk.ts';
import type { Network } from './network.ts';
import type { ProcessClock } from './timeline.ts';

/** A message to another thread takes this long. */
const THREAD_MS = 0.1;
/** A read of a file that belongs to the container runtime. */
const FILE_MS = 1;

interface PoolParts {
  machine: string;
  arena: Arena;
  doorbells: Doorbells;
  clock: ProcessClock;
  network: Network;
  origin: OriginClient;
  disk: Disk;
  shelf: ContentShelf | null;
}

/**
 * The transfer and digest threads of a process: the code of lib/workers, over simulated sockets,
 * disk and registry.
 */
export function simPools({
  machine,
  arena,
  doorbells,
  clock,
  network,
  origin,
  disk,
  shelf,
}: PoolParts): Pools {
  const idle = new IdleConnections(clock.nowMs, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS);
  const open = (host: string, port: number, connectMs: number): HttpConnection =>
    new HttpConnection(
      (onread) => network.connect(machine, `${host}:${port}`, onread, connectMs) as never,
      null,
    );
  const tools: TransferTools = {
    arena,
    doorbells,
    nowMs: clock.nowMs,
    after: clock.after,
    looks: { add: (look) => lookOften(clock, look) },
    peers: {
      open,
      take: (host, port) => idle.take(`${host}:${port}`),
      give: (host, port, connection) => idle.give(`${host}:${port}`, connection as HttpConnection),
    },
  };
  const fill = async (path: string, offsetBytes: number, into: Uint8Array): Promise<boolean> => {
    await new Promise<void>((resolve) => clock.after(FILE_MS, resolve));
    return shelf?.fill(path, offsetBytes, into) ?? false;
  };
  const fileRead = async ({ slot, path, offsetBytes, lengthBytes, checksum }: FileReadJob) => {
    const bytes = arena.bytes(slot, 0, lengthBytes);
    try {
      if (!(await fill(path, offsetBytes, bytes))) return { kind: 'done', outcome: 'gone' };
    } catch (thrown) {
      return { kind: 'failed', error: ShoalError.from(thrown, 'DISK_FAILED').toWire() };
    }
    const isRight = Buffer.compare(checksumOf(bytes), checksum) === 0;
    return { kind: 'done', outcome: isRight ? 'ok' : 'changed' };
  };
  const hashes = new BlobHashes(arena, fill);
  const hop = (): Promise<void> => new Promise((resolve) => clock.after(THREAD_MS, resolve));
  const disked = async (job: Extract<PoolJob, { kind: 'diskRead' | 'diskWrite' }>) => {
    try {
      const outcome =
        job.kind === 'diskRead'
          ? await disk.read(arena, job, clock)
          : await disk.write(arena, job, clock);
      return { kind: 'done', outcome };
    } catch (thrown) {
      const error = ShoalError.from(thrown, 'DISK_FAILED');
      const { code } = error.cause as { code: string };
      return { kind: 'failed', error: { ...error.toWire(), system: code } };
    }
  };
  const carryOut = (job: PoolJob): unknown => {
    switch (job.kind) {
      case 'peer':
        return readFromPeer(job, tools);
      case 'stat':
        return askStat(job, tools);
      case 'call':
        return callPeer(job, tools);
      case 'probe':
        return probeOrigin(job, origin);
      case 'relay':
        return relayToOrigin(job, origin);
      case 'line':
        // Nobody tells others how fast its line is: simulated lines are all alike.
        return { receivedBytes: 0, tookMs: 0 };
      case 'ping':
        return origin.ping(job.origin).then((status) => ({ status }));
      case 'diskRead':
      case 'diskWrite':
        return disked(job);
      case 'fileRead':
        return fileRead(job);
      default:
        throw new Error(`the job ${job.kind} is not simulated`);
    }
  };
  return {
    async run(job) {
      await hop();
      const result = await carryOut(job as PoolJob);
      await hop();
      return result as never;
    },
    async origin(job, heard) {
      await hop();
      const tell = (news: Parameters<typeof heard>[0]): void => {
        clock.after(THREAD_MS, () => heard(news));
      };
      await readFromOrigin(job, origin, tools, tell, (fact) => tell({ kind: 'head', ...fact }));
      await hop();
    },
    hold: (job) => origin.hold(job, job).catch(() => false),
    configure: () => Promise.resolve(),
    async digest(job: DigestJob) {
      await hop();
      const result = await hashes.run(job);
      await hop();
      return result;
    },
    ready: () => Promise.resolve({ lowWater: '' }),
    queued: () => 0,
    stalledMs: () => 0,
    dnsSilentMs: () => 0,
    close: () => Promise.resolve(),
  };
}

function lookOften(clock: ProcessClock, look: Look): () => void {
  let isOver = false;
  const again = (): void => {
    if (isOver) return;
    look();
    clock.after(LOOK_MS, again);
  };
  clock.after(LOOK_MS, again);
  return () => void (isOver = true);
}
