import type { CacheLog, HeaderJob } from '../cache/slab-io.ts';

export interface SlabFilesOptions {
  dir: string;
  /** The slab never takes more than this on disk. */
  capacityBytes: number;
  /** Ask for O_DIRECT (`CacheConfig.aioEnable: 1`). */
  direct: boolean;
  log: CacheLog;
}

/** The cache's two files, open and locked against a second process. */
export interface SlabFiles {
  /** For readExtent and writeExtent; valid in every thread of the process. */
  readonly slabFd: number;
  /** Whether the slab is open with O_DIRECT: false when it was not asked for, or the filesystem refuses it. */
  readonly direct: boolean;
  /** 2 MiB slots in the slab. */
  readonly slotCount: number;
  /** Entries in the header table. */
  readonly entryCount: number;
  /** The header table as it stood at opening, all entries, for CacheStore.open; possibly longer than entryCount. */
  readonly table: Uint8Array;
  writeHeader(job: HeaderJob): Promise<void>;
  /** Closes the files and gives up the lock; let jobs end first. */
  close(): Promise<void>;
}

/**
 * Opens (or makes) `<dir>/slab` and `<dir>/index`. Throws ShoalError CACHE_DIR_UNUSABLE with one clear line when the
 * directory cannot be made, written or locked. An index of another format is logged and the cache starts empty.
 */
export async function openSlabFiles(options: SlabFilesOptions): Promise<SlabFiles> {
  throw new Error(options.dir);
}
