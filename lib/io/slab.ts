import { Buffer } from 'node:buffer';
import type { ReadJob, ReadOutcome, WriteJob, WriteOutcome } from '../cache/slab-io.ts';
import { ShoalError } from '../errors.ts';
import { pageCeil, readAt, writeAt } from './aligned.ts';
import type { Arena } from './arena.ts';
import { checksumOf } from './checksum.ts';

export type { ReadJob, ReadOutcome, WriteJob, WriteOutcome } from '../cache/slab-io.ts';

/**
 * Reads one extent of the slab `fd` into its arena slot, and checks it against the job's checksum,
 * if there is one. The caller publishes the slot's length and watermarks. Throws ShoalError
 * DISK_FAILED with the system's error code in its message.
 */
export async function readExtent(fd: number, arena: Arena, job: ReadJob): Promise<ReadOutcome> {
  const lengthBytes = pageCeil(job.lengthBytes);
  const bytes = arena.bytes(job.slot, 0, lengthBytes);
  let doneBytes = 0;
  while (doneBytes < lengthBytes) {
    const { bytesRead } = await diskCall(
      readAt(fd, bytes, doneBytes, lengthBytes - doneBytes, job.fileOffsetBytes + doneBytes),
    );
    // The slab ends here: it was truncated by hand.
    if (bytesRead === 0) return 'corrupt';
    doneBytes += bytesRead;
  }
  if (job.checksum === null) return 'ok';
  return Buffer.compare(checksumOf(arena.bytes(job.slot, 0, job.lengthBytes)), job.checksum) === 0
    ? 'ok'
    : 'corrupt';
}

/**
 * The descriptor for a write: O_DIRECT saves the copy into the page cache, which costs more
 * processor time than everything else that a write does.
 */
export function writeDescriptor(
  { slabFd, directFd }: { slabFd: number; directFd: number | null },
  { isBuffered }: WriteJob,
): number {
  return isBuffered === true ? slabFd : (directFd ?? slabFd);
}

/**
 * Runs `write` with the slot of `job` pinned; if it has another generation already, nothing is
 * written. Called by control, because a thread that ends would never give its pin back.
 */
export async function writePinned(
  arena: Arena,
  job: WriteJob,
  write: () => Promise<WriteOutcome>,
): Promise<WriteOutcome> {
  if (!arena.tryPin(job.slot, job.generation)) return 'gone';
  try {
    return await write();
  } finally {
    arena.unpin(job.slot);
  }
}

/**
 * Writes one complete shard from its arena slot, which is pinned, to the slab `fd`, up to the next
 * page. Throws ShoalError DISK_FAILED.
 */
export async function writeExtent(fd: number, arena: Arena, job: WriteJob): Promise<WriteOutcome> {
  const lengthBytes = pageCeil(job.lengthBytes);
  const bytes = arena.bytes(job.slot, 0, lengthBytes);
  let doneBytes = 0;
  while (doneBytes < lengthBytes) {
    const { bytesWritten } = await diskCall(
      writeAt(fd, bytes, doneBytes, lengthBytes - doneBytes, job.fileOffsetBytes + doneBytes),
    );
    if (bytesWritten === 0)
      throw new ShoalError('DISK_FAILED', 'the cache disk is full', { cause: { code: 'ENOSPC' } });
    doneBytes += bytesWritten;
  }
  return 'written';
}

async function diskCall<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new ShoalError('DISK_FAILED', (error as Error).message, { cause: error });
  }
}
