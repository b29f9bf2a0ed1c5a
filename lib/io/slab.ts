import type { Arena } from './arena.ts';
import type { ReadJob, ReadOutcome, WriteJob, WriteOutcome } from '../cache/slab-io.ts';

export type { ReadJob, ReadOutcome, WriteJob, WriteOutcome } from '../cache/slab-io.ts';

/**
 * Reads one extent of the slab `fd` straight into its arena slot, and checks it when the job says what it must
 * hash to. The caller publishes the slot's length and watermarks afterwards.
 * Throws ShoalError DISK_FAILED, the system's code in its message.
 */
export async function readExtent(fd: number, arena: Arena, job: ReadJob): Promise<ReadOutcome> {
  throw new Error(`${fd} ${arena.slotCount} ${job.slot}`);
}

/**
 * Writes one complete shard from its arena slot to the slab `fd`, up to the next page. The slot is pinned meanwhile;
 * when it already holds another generation nothing is written. Throws ShoalError DISK_FAILED.
 */
export async function writeExtent(fd: number, arena: Arena, job: WriteJob): Promise<WriteOutcome> {
  throw new Error(`${fd} ${arena.slotCount} ${job.slot}`);
}
