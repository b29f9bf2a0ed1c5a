import { statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { CacheLog } from '../cache/slab-io.ts';
import { CACHE_DISK_SHARE_MAX } from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { runProgram } from './program.ts';

/** Unit of `stat.blocks`, independent of the filesystem's block size. */
const STAT_BLOCK_BYTES = 512;

/** Bytes free for unprivileged users on the filesystem of a file. */
async function freeBytesAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/**
 * Length for a file that should have `wantedBytes` and has `allocatedBytes`. On a disk that is too
 * small it is limited, in whole slots, to a share of the free space, but never shrinks below what
 * it has: a restart changes nothing.
 */
function affordableBytes(wantedBytes: number, allocatedBytes: number, freeBytes: number): number {
  if (wantedBytes - allocatedBytes <= freeBytes) return wantedBytes;
  const boundBytes = Math.max(allocatedBytes, CACHE_DISK_SHARE_MAX * (allocatedBytes + freeBytes));
  return Math.min(wantedBytes, Math.floor(boundBytes / SHARD_BYTES) * SHARD_BYTES);
}

/**
 * Length that the slab gets on its disk: `affordableBytes`. Logs a line if that is less than
 * wanted.
 */
export async function roomForSlab(
  file: FileHandle,
  path: string,
  wantedBytes: number,
  log: CacheLog,
  freeBytesOf = freeBytesAt,
): Promise<number> {
  const { blocks } = await file.stat();
  const freeBytes = await freeBytesOf(path);
  const takenBytes = affordableBytes(
    wantedBytes,
    Math.min(wantedBytes, blocks * STAT_BLOCK_BYTES),
    freeBytes,
  );
  if (takenBytes < wantedBytes)
    log.warn(
      { path, wantedBytes, freeBytes, takenBytes },
      'the disk has less free space than the cache capacity: the cache is smaller',
    );
  return takenBytes;
}

/**
 * Sets the length of an open file to exactly `sizeBytes` and allocates its blocks if the filesystem
 * can: then the cache cannot run out of disk later and is contiguous. A longer file, left by a
 * larger capacity, is cut.
 */
export async function allocateFile(
  file: FileHandle,
  path: string,
  sizeBytes: number,
  log: CacheLog,
): Promise<void> {
  const { size, blocks } = await file.stat();
  if (size !== sizeBytes) await file.truncate(sizeBytes);
  if (blocks * STAT_BLOCK_BYTES >= sizeBytes) return;
  const exitCode = await runProgram('fallocate', ['-l', String(sizeBytes), path]);
  if (exitCode !== 0) log.info({ path }, 'cannot preallocate the cache file: it grows as it fills');
}
