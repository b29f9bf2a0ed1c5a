import { mkdir, readFile, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  HEADER_BYTES,
  TABLE_HEAD_BYTES,
  TABLE_VERSION,
  decodeTableHead,
  encodeTableHead,
} from '../cache/header.ts';
import type { CacheLog, HeaderJob } from '../cache/slab-io.ts';
import { ShoalError } from '../errors.ts';
import {
  CACHE_DIR_OVERHEAD_BYTES,
  CACHE_ENTRIES_BASE,
  CACHE_ENTRIES_PER_SLOT,
  CACHE_SLOT_OVERHEAD_BYTES,
} from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { openDirect, openOwn, pageCeil, readAt, writeAt } from './aligned.ts';
import { lockDir } from './dir-lock.ts';
import type { DirLock } from './dir-lock.ts';
import { allocateFile, roomForSlab } from './slab-space.ts';

interface SlabFilesOptions {
  dir: string;
  /** Limit for the directory's size on disk, including the header table. */
  capacityBytes: number;
  /** Reads use O_DIRECT, too (`CacheConfig.aioEnable: 1`). Writes use it wherever possible. */
  direct: boolean;
  log: CacheLog;
  /** Free bytes on a file's filesystem; default: the system's value. */
  freeBytesOf?: (path: string) => Promise<number>;
}

/** The cache's two files, open and locked against other processes. */
export interface SlabFiles {
  /** For reads, and for writes while `directFd` is null; valid in every thread of the process. */
  readonly slabFd: number;
  /** The slab open with O_DIRECT, for writes; null when the filesystem refuses it. */
  readonly directFd: number | null;
  /** Whether reads bypass the page cache, too: requested, and supported by the filesystem. */
  readonly direct: boolean;
  /** Number of 2 MiB slots in the slab; 0 if the disk is full. */
  readonly slotCount: number;
  /** Number of entries in the header table. */
  readonly entryCount: number;
  /**
   * The header table's entries at opening, for CacheStore.open; more than entryCount after a
   * shrink.
   */
  readonly table: Buffer;
  writeHeader(job: HeaderJob): Promise<void>;
  /** Closes the files and releases the lock. Let jobs end first. */
  close(): Promise<void>;
}

/**
 * Number of slots and header entries, and length of the table, for a directory of at most
 * `capacityBytes` in total.
 */
export function slabGeometry(capacityBytes: number): {
  slotCount: number;
  entryCount: number;
  tableBytes: number;
} {
  const slotsMax = Math.floor(capacityBytes / SHARD_BYTES);
  const entryCount = slotsMax * CACHE_ENTRIES_PER_SLOT + CACHE_ENTRIES_BASE;
  const tableBytes = pageCeil(TABLE_HEAD_BYTES + entryCount * HEADER_BYTES);
  const slabBytes =
    capacityBytes - tableBytes - CACHE_DIR_OVERHEAD_BYTES - slotsMax * CACHE_SLOT_OVERHEAD_BYTES;
  return { slotCount: Math.max(0, Math.floor(slabBytes / SHARD_BYTES)), entryCount, tableBytes };
}

/**
 * Opens or creates `<dir>/slab` and `<dir>/index`. Throws ShoalError CACHE_DIR_UNUSABLE with one
 * clear line if the directory cannot be created, written or locked. An index of another format is
 * logged, and the cache starts empty.
 */
export async function openSlabFiles(options: SlabFilesOptions): Promise<SlabFiles> {
  const opened: FileHandle[] = [];
  let lock: DirLock | undefined;
  const closeAll = async (): Promise<void> => {
    for (const file of opened.splice(0)) await file.close();
    if (lock?.kind === 'locked') await lock.release();
  };
  try {
    await makeDir(resolve(options.dir));
    lock = await lockDir(options.dir);
    if (lock.kind === 'held') throw new Error(await heldBy(options.dir));
    return await openLocked(options, opened, closeAll);
  } catch (error) {
    await closeAll();
    if (error instanceof ShoalError) throw error;
    throw new ShoalError(
      'CACHE_DIR_UNUSABLE',
      `cache directory ${options.dir} cannot be used: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

async function openLocked(
  options: SlabFilesOptions,
  opened: FileHandle[],
  close: () => Promise<void>,
): Promise<SlabFiles> {
  const { dir, capacityBytes, log } = options;
  const { slotCount: slotsWanted, entryCount, tableBytes } = slabGeometry(capacityBytes);
  if (slotsWanted < 1)
    throw new Error(`a capacity of ${capacityBytes} bytes is too small for one shard`);

  const index = await openIndex(dir, tableBytes, log);
  opened.push(index.file);
  const slabPath = join(dir, 'slab');
  let slab = await openOwn(slabPath);
  opened.push(slab);
  if (!(await slab.stat()).isFile()) throw new Error(`${slabPath} is not a regular file`);
  const slabBytes = await roomForSlab(
    slab,
    slabPath,
    slotsWanted * SHARD_BYTES,
    log,
    options.freeBytesOf,
  );
  const slotCount = Math.floor(slabBytes / SHARD_BYTES);
  await allocateFile(slab, slabPath, slotCount * SHARD_BYTES, log);
  const directSlab = await openDirect(slabPath);
  if (directSlab !== undefined) opened.push(directSlab);
  if (directSlab !== undefined && options.direct) slab = directSlab;
  if (directSlab === undefined && options.direct)
    log.warn({ dir }, 'the filesystem of the cache refuses O_DIRECT; using the page cache');

  return {
    slabFd: slab.fd,
    directFd: directSlab?.fd ?? null,
    direct: directSlab !== undefined && options.direct,
    slotCount,
    entryCount,
    table: index.table,
    async writeHeader({ entry, bytes }) {
      const { bytesWritten } = await writeAt(
        index.file.fd,
        bytes,
        0,
        HEADER_BYTES,
        TABLE_HEAD_BYTES + entry * HEADER_BYTES,
      );
      if (bytesWritten !== HEADER_BYTES)
        throw new ShoalError('DISK_FAILED', 'the cache disk is full');
    },
    close,
  };
}

/**
 * Opens the table and sets its length to `tableBytes`, unless entries lie beyond that: they are
 * moved first (lib/cache/recovery.ts), and the table is cut at the next start.
 */
async function openIndex(
  dir: string,
  tableBytes: number,
  log: CacheLog,
): Promise<{ file: FileHandle; table: Buffer }> {
  const path = join(dir, 'index');
  let file = await openOwn(path);
  if (!(await file.stat()).isFile()) throw new Error(`${path} is not a regular file`);
  let content = await readAll(file);
  if (content.length > 0) {
    const head = decodeTableHead(content);
    if (head.kind === 'foreign') {
      // The directory may be a mistake and the file someone else's: rename it, do not delete it.
      await file.close();
      await rename(path, `${path}.unknown`);
      file = await openOwn(path);
      log.warn(
        { path, kept: `${path}.unknown` },
        'not a cache index: renamed; the cache starts empty',
      );
    } else if (head.kind === 'other-version') {
      await file.truncate(0);
      log.warn(
        { path, version: head.version, expected: TABLE_VERSION },
        'cache index of another format version: the cache starts empty',
      );
    }
    if (head.kind !== 'ours') content = Buffer.alloc(0);
  }
  const table = content.subarray(Math.min(TABLE_HEAD_BYTES, content.length));
  const pastEnd = content.subarray(Math.min(tableBytes, content.length));
  await allocateFile(
    file,
    path,
    pastEnd.some((byte) => byte !== 0) ? content.length : tableBytes,
    log,
  );
  await file
    .write(encodeTableHead(process.pid), 0, TABLE_HEAD_BYTES, 0)
    .catch((error: NodeJS.ErrnoException) => {
      // A full disk does not prevent the start: the node serves from memory. A page of zeros is
      // valid, too.
      if (error.code !== 'ENOSPC') throw error;
    });
  return { file, table };
}

/** Node's recursive mkdir never returns if a parent exists but cannot have children (/proc). */
async function makeDir(path: string, parentsToo = true): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || !parentsToo || dirname(path) === path) throw error;
    await makeDir(dirname(path));
    await makeDir(path, false);
  }
}

async function readAll(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  const content = Buffer.allocUnsafe(size);
  let doneBytes = 0;
  while (doneBytes < size) {
    const { bytesRead } = await readAt(file.fd, content, doneBytes, size - doneBytes, doneBytes);
    if (bytesRead === 0) break;
    doneBytes += bytesRead;
  }
  return content.subarray(0, doneBytes);
}

async function heldBy(dir: string): Promise<string> {
  const page = await readFile(join(dir, 'index')).catch(() => Buffer.alloc(0));
  const head = decodeTableHead(page);
  return head.kind === 'ours' ? `process ${head.pid} uses it` : 'another process uses it';
}
