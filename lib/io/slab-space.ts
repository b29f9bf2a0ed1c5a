import { statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { CacheLog } from '../cache/slab-io.ts';
import { CACHE_DISK_SHARE_MAX } from './limits.ts';
import { SHARD_BYTES } from '../limits.ts';
import { runProgram } from './program.ts';

/** The unit of `stat.blocks`, whatever the filesystem's own. */
const STAT_BLOCK_BYTES = 512;

/** Bytes free on the filesystem of a file, to those who are not root. */
export async function freeBytesAt(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/**
 * How long a file meant for `wantedBytes` is to be, having `allocatedBytes` already. On a disk too
 * small it stays, in whole slots, within a share of what there is, and never gives up what it has:
 * so a restart leaves it as it is.
 */
export function affordableBytes(
  wantedBytes: number,
  allocatedBytes: number,
  freeBytes: number,
): number {
  if (wantedBytes - allocatedBytes <= freeBytes) return wantedBytes;
  const boundBytes = Math.max(allocatedBytes, CACHE_DISK_SHARE_MAX * (allocatedBytes + freeBytes));
  return Math.min(wantedBytes, Math.floor(boundBytes / SHARD_BYTES) * SHARD_BYTES);
}

/**
 * The bytes of its wish a slab gets on the disk it is on: `affordableBytes`, with a line in the log
 * when that is less.
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
      'the disk has less room than the cache may take: it takes less',
    );
  return takenBytes;
}

/**
 * Makes an open file exactly `sizeBytes` long, its blocks allocated beforehand where the filesystem
 * can: then the cache cannot run out of disk later, and lies in one piece. A longer file, left by a
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
  if (exitCode !== 0) log.info({ path }, 'cache file not preallocated: it grows as it fills');
}
