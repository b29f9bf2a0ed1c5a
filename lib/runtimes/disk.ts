import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ShoalError } from '../errors.ts';
import { CONFIG_FILE_BYTES_MAX } from '../limits.ts';

/** Mode and owner of a file. */
interface Ownership {
  mode: number;
  uid: number;
  gid: number;
}

/**
 * The disk operations of these commands. Passed in, so that tests can interrupt a command between
 * any two steps. Every method throws what node:fs throws.
 */
export interface Disk {
  /**
   * Also throws EISDIR for a directory and EFBIG for a file that is too large for a config file.
   */
  read(path: string): Buffer;
  ownership(path: string): Ownership;
  /** The path with all symlinks resolved. */
  realPath(path: string): string;
  /** Throws EACCES or EROFS if the file is not writable. */
  checkWritable(path: string): void;
  /** Creates the file, replacing a leftover of that name, and syncs it to disk. */
  create(path: string, bytes: Uint8Array, ownership: Ownership | null): void;
  /** Renames `from` over `to` atomically and syncs the directory. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Creates one directory; its parent must exist. */
  makeFolder(path: string): void;
  /** Throws ENOTEMPTY unless the directory is empty. */
  removeFolder(path: string): void;
  list(path: string): string[];
}

const NEW_FILE_MODE = 0o644;

export const systemDisk: Disk = {
  read(path) {
    const { size } = fs.statSync(path);
    if (size > CONFIG_FILE_BYTES_MAX)
      throw Object.assign(new Error(`${size} bytes`), { code: 'EFBIG' });
    return fs.readFileSync(path);
  },
  ownership(path) {
    const { mode, uid, gid } = fs.statSync(path);
    return { mode: mode & 0o7777, uid, gid };
  },
  realPath: (path) => fs.realpathSync(path),
  checkWritable: (path) => fs.accessSync(path, fs.constants.W_OK),
  create(path, bytes, ownership) {
    fs.rmSync(path, { force: true });
    // Private until owner and mode are set: the file it replaces may be private.
    const file = fs.openSync(path, 'wx', 0o600);
    try {
      const now = fs.fstatSync(file);
      if (ownership !== null && (now.uid !== ownership.uid || now.gid !== ownership.gid))
        fs.fchownSync(file, ownership.uid, ownership.gid);
      fs.fchmodSync(file, ownership?.mode ?? NEW_FILE_MODE);
      fs.writeFileSync(file, bytes);
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
  },
  rename(from, to) {
    fs.renameSync(from, to);
    syncFolder(dirname(to));
  },
  remove(path) {
    fs.unlinkSync(path);
    syncFolder(dirname(path));
  },
  makeFolder: (path) => fs.mkdirSync(path, { mode: 0o755 }),
  removeFolder: (path) => fs.rmdirSync(path),
  list: (path) => fs.readdirSync(path),
};

function syncFolder(path: string): void {
  const folder = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}

/** The bytes of a config file; null if it does not exist. Throws FILE_UNUSABLE naming the file. */
function readBytes(disk: Disk, path: string): Buffer | null {
  try {
    return disk.read(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw unusable(path, 'cannot be read', error);
  }
}

/**
 * The text of a config file; null if it does not exist. Throws FILE_UNUSABLE naming the file, also
 * when it is not UTF-8.
 */
export function readText(disk: Disk, path: string): string | null {
  const bytes = readBytes(disk, path);
  if (bytes === null) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ShoalError('FILE_UNUSABLE', `${path}: not UTF-8 text`);
  }
}

/**
 * Creates or replaces a file atomically: readers see either the old or the new content in full.
 * Keeps mode and owner, or sets `ownership`. A symlink is kept and its target is replaced. Throws
 * FILE_UNUSABLE; the file is then unchanged.
 */
export function replaceFile(
  disk: Disk,
  path: string,
  content: string | Uint8Array,
  ownership?: Ownership,
): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  let temporary: string | null = null;
  try {
    const there = exists(disk, path);
    const target = there ? disk.realPath(path) : path;
    if (there) disk.checkWritable(target);
    temporary = temporaryOf(target);
    disk.create(temporary, bytes, ownership ?? (there ? disk.ownership(target) : null));
    disk.rename(temporary, target);
  } catch (error) {
    if (temporary !== null) removeQuietly(disk, temporary);
    throw unusable(path, 'cannot be written', error);
  }
}

/** Throws FILE_UNUSABLE if the file exists and is not writable. */
export function checkWritable(disk: Disk, path: string): void {
  try {
    if (exists(disk, path)) disk.checkWritable(disk.realPath(path));
  } catch (error) {
    throw unusable(path, 'cannot be written', error);
  }
}

/**
 * Removes a file and the temporary file of an interrupted run, if they exist. Throws FILE_UNUSABLE.
 */
export function removeFile(disk: Disk, path: string): void {
  try {
    if (exists(disk, path)) disk.remove(path);
  } catch (error) {
    throw unusable(path, 'cannot be removed', error);
  }
  removeQuietly(disk, temporaryOf(path));
}

/**
 * The temporary file for the new content: in the same directory, so that it can be renamed into
 * place.
 */
function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.shoal-new`);
}

export function exists(disk: Disk, path: string): boolean {
  try {
    disk.ownership(path);
    return true;
  } catch (error) {
    if (/^(?:ENOENT|ENOTDIR)$/.test(systemCode(error))) return false;
    throw error;
  }
}

/** One line: the file, the operation that failed, and the system's reason. */
export function unusable(path: string, what: string, error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  const code = systemCode(error);
  const reason =
    REASONS[code] ??
    (code === '' ? (error instanceof Error ? error.message : String(error)) : code);
  return new ShoalError('FILE_UNUSABLE', `${path}: ${what}: ${reason}`, { cause: error });
}

const REASONS: Record<string, string> = {
  ENOENT: 'its directory does not exist',
  ENOTDIR: 'a part of its path is not a directory',
  EISDIR: 'it is a directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EFBIG: `it is larger than ${CONFIG_FILE_BYTES_MAX} bytes`,
  ELOOP: 'symlink loop',
};

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

/** Removes a file, ignoring errors. */
export function removeQuietly(disk: Disk, path: string): void {
  try {
    disk.remove(path);
  } catch {
    // The caller reports the real error; the next run overwrites a leftover.
  }
}
