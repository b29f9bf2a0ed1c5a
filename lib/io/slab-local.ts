import type { SlabIo } from '../cache/slab-io.ts';
import type { Arena } from './arena.ts';
import { readExtent, writeDescriptor, writeExtent, writePinned } from './slab.ts';
import type { SlabFiles } from './slab-files.ts';

/**
 * Slab I/O on the calling thread, for tools and tests. A node passes reads and writes to its
 * transfer pool.
 */
export function localSlabIo(files: SlabFiles, arena: Arena): SlabIo {
  return {
    read: (job) => readExtent(files.slabFd, arena, job),
    write: (job) =>
      writePinned(arena, job, () => writeExtent(writeDescriptor(files, job), arena, job)),
    writeHeader: (job) => files.writeHeader(job),
  };
}
