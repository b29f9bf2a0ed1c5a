import type {
  HeaderJob,
  ReadJob,
  ReadOutcome,
  WriteJob,
  WriteOutcome,
} from '../../lib/cache/slab-io.ts';
import { HEADER_BYTES } from '../../lib/cache/header.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { ShoalError } from '../../lib/errors.ts';
import type { Arena } from '../../lib/io/arena.ts';
import { checksumOf } from '../../lib/io/checksum.ts';
import type { Random } from '../../native-bench/sim/random.ts';
import { buffers } from './buffers.ts';
import type { ProcessClock } from './timeline.ts';

/** The chances of what can go wrong with one operation. */
export interface DiskFaults {
  readError: number;
  writeError: number;
  isFull: boolean;
  /** A write that was under way when the process ended is half there. */
  tornWrite: boolean;
  /** A byte of what is read is another one from then on. */
  bitRot: number;
  slowMs: number;
}

export const SOUND: DiskFaults = {
  readError: 0,
  writeError: 0,
  isFull: false,
  tornWrite: false,
  bitRot: 0,
  slowMs: 1,
};

/** The disk of one machine: it outlives its processes. */
export class Disk {
  readonly slotCount: number;
  readonly entryCount: number;
  faults: DiskFaults = SOUND;
  readonly #random: Random;
  readonly #table: Buffer;
  readonly #extents = new Map<number, { buffer: Uint8Array; lengthBytes: number }>();

  constructor(slotCount: number, random: Random) {
    this.slotCount = slotCount;
    this.entryCount = slotCount * 4;
    this.#random = random;
    this.#table = Buffer.alloc(this.entryCount * HEADER_BYTES);
  }

  /** As a process finds it that starts now. */
  get table(): Buffer {
    return Buffer.from(this.#table);
  }

  async read(arena: Arena, job: ReadJob, clock: ProcessClock): Promise<ReadOutcome> {
    await this.#turn(clock);
    if (this.#random.next() < this.faults.readError) throw failed('EIO');
    const extent = this.#extents.get(job.fileOffsetBytes);
    if (extent === undefined || extent.lengthBytes < job.lengthBytes) return 'corrupt';
    if (this.#random.next() < this.faults.bitRot)
      extent.buffer[this.#random.below(extent.lengthBytes)]! ^= 1 << this.#random.below(8);
    const bytes = arena.bytes(job.slot, 0, job.lengthBytes);
    bytes.set(extent.buffer.subarray(0, job.lengthBytes));
    if (job.checksum === null) return 'ok';
    return Buffer.compare(checksumOf(bytes), job.checksum) === 0 ? 'ok' : 'corrupt';
  }

  async write(
    arena: Arena,
    { slot, lengthBytes, fileOffsetBytes }: WriteJob,
    clock: ProcessClock,
  ): Promise<WriteOutcome> {
    if (this.#random.next() < this.faults.writeError) throw failed('EIO');
    if (this.faults.isFull) throw failed('ENOSPC');
    if (this.faults.tornWrite) {
      const tornBytes = this.#random.below(lengthBytes);
      this.#put(fileOffsetBytes, arena.bytes(slot, 0, tornBytes), lengthBytes);
    }
    await this.#turn(clock);
    // The slot is pinned meanwhile.
    this.#put(fileOffsetBytes, arena.bytes(slot, 0, lengthBytes), lengthBytes);
    return 'written';
  }

  #put(offsetBytes: number, bytes: Uint8Array, lengthBytes: number): void {
    const buffer = this.#extents.get(offsetBytes)?.buffer ?? buffers.take(SHARD_BYTES);
    buffer.set(bytes);
    this.#extents.set(offsetBytes, { buffer, lengthBytes });
  }

  /** A bit of every second shard is another one from now on. */
  rot(): void {
    for (const { buffer, lengthBytes } of this.#extents.values())
      if (lengthBytes > 0 && this.#random.below(2) === 0)
        buffer[this.#random.below(lengthBytes)]! ^= 1 << this.#random.below(8);
  }

  /** The simulation is over. */
  close(): void {
    for (const { buffer } of this.#extents.values()) buffers.give(buffer);
    this.#extents.clear();
  }

  async writeHeader({ entry, bytes }: HeaderJob, clock: ProcessClock): Promise<void> {
    if (this.#random.next() < this.faults.writeError) throw failed('EIO');
    const atBytes = entry * HEADER_BYTES;
    if (this.faults.tornWrite)
      this.#table.set(bytes.subarray(0, this.#random.below(bytes.length)), atBytes);
    await this.#turn(clock);
    this.#table.set(bytes, atBytes);
  }

  /** Takes time; a process that ends meanwhile never goes on. */
  #turn(clock: ProcessClock): Promise<void> {
    return new Promise((resolve) =>
      clock.after(this.faults.slowMs * (0.5 + this.#random.next()), resolve),
    );
  }
}

function failed(system: string): ShoalError {
  return new ShoalError('DISK_FAILED', `the disk said ${system}`, { cause: { code: system } });
}
