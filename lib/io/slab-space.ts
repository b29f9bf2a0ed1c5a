import { statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { CacheLog } from '../cache/slab-io.ts';
import { runProgram } from './program.ts';

/** The unit of `stat.blocks`, whatever the filesystem's own. */
const STAT_BLOCK_BYTES = 512;

/**
 * Makes an open file exactly `sizeBytes` long, its blocks allocated beforehand where the filesystem can: then the cache
 * cannot run out of disk later, and lies in one piece. A longer file, left by a larger capacity, is cut.
 */
export async function allocateFile(file: FileHandle, path: string, sizeBytes: number, log: CacheLog): Promise<void> {
  const before = await file.stat();
  if (before.size !== sizeBytes) await file.truncate(sizeBytes);
  const missingBytes = sizeBytes - Math.min(sizeBytes, before.blocks * STAT_BLOCK_BYTES);
  if (missingBytes === 0) return;
  const { bavail, bsize } = await statfs(path);
  if (bavail * bsize < missingBytes) {
    log.warn({ path, missingBytes, freeBytes: bavail * bsize }, 'the disk has less room than the cache may take');
    return;
  }
  const exitCode = await runProgram('fallocate', ['-l', String(sizeBytes), path]);
  if (exitCode !== 0) log.info({ path }, 'cache file not preallocated: it grows as it fills');
}
