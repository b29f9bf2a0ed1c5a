/**
 * A read of one stored shard into an arena slot that the caller has prepared (`filling`); no other
 * thread writes to it.
 */
export interface ReadJob {
  /** Where the shard's extent begins in the slab; a multiple of PAGE_BYTES. */
  fileOffsetBytes: number;
  /** The shard's length; the file is read up to the next page, so the slot's rest is scratch. */
  lengthBytes: number;
  slot: number;
  /**
   * The expected checksum; null if this process has already checked or written this extent.
   */
  checksum: Uint8Array | null;
}

/** A write of one complete shard from an arena slot. */
export interface WriteJob {
  fileOffsetBytes: number;
  lengthBytes: number;
  slot: number;
  /**
   * The slot's generation when the shard was complete; if it has changed, nothing is written.
   */
  generation: number;
  /** Write through the page cache: the disk is behind, and memory takes more than its queue. */
  isBuffered?: boolean;
}

/** A write of one entry of the header table. */
export interface HeaderJob {
  entry: number;
  bytes: Uint8Array;
}

/** `corrupt`: the checksum does not match, or the slab is too short. */
export type ReadOutcome = 'ok' | 'corrupt';
/** `gone`: the slot had been given to another shard before the write began; nothing was written. */
export type WriteOutcome = 'written' | 'gone';

/**
 * The disk as the store sees it. The node passes reads and writes to its transfer threads
 * (lib/io/slab.ts) and headers to the open table (lib/io/slab-files.ts); tests pass a disk of their
 * own. A rejected promise means that the disk failed: the store counts it and continues without the
 * disk.
 */
export interface SlabIo {
  read(job: ReadJob): Promise<ReadOutcome>;
  write(job: WriteJob): Promise<WriteOutcome>;
  writeHeader(job: HeaderJob): Promise<void>;
}

/** Receives what an operator should know; a pino logger fits. */
export interface CacheLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}
