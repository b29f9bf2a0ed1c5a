import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ShoalError } from '../errors.ts';
import { CONFIG_FILE_BYTES_MAX } from '../limits.ts';

/** Whose a file is, and who may do what with it. */
export interface Ownership {
  mode: number;
  uid: number;
  gid: number;
}

/**
 * The disk as these commands need it, handed in so that tests can stop a command between any two
 * steps. Every method throws what node:fs throws.
 */
export interface Disk {
  /** Also throws EISDIR for a folder, EFBIG for what is no config file by its length. */
  read(path: string): Buffer;
  ownership(path: string): Ownership;
  /** The path with every symlink followed. */
  realPath(path: string): string;
  /** Throws EACCES or EROFS where the file could not be written. */
  checkWritable(path: string): void;
  /** Makes the file, over any leftover of that name, and has it on the disk before returning. */
  create(path: string, bytes: Uint8Array, ownership: Ownership | null): void;
  /** Puts `from` in the place of `to` at once, and has that on the disk before returning. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes one folder, its parent being there. */
  makeFolder(path: string): void;
  /** Throws ENOTEMPTY unless it is empty. */
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
    // Nobody else's until it has its owner and mode: what it replaces may be private.
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

/** The bytes of a config file, or null when there is none. Throws FILE_UNUSABLE naming the file. */
export function readBytes(disk: Disk, path: string): Buffer | null {
  try {
    return disk.read(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw unusable(path, 'cannot be read', error);
  }
}

/**
 * The text of a config file, or null when there is none. Throws FILE_UNUSABLE naming the file, also
 * for what is not UTF-8.
 */
export function readText(disk: Disk, path: string): string | null {
  const bytes = readBytes(disk, path);
  if (bytes === null) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ShoalError('FILE_UNUSABLE', `${path}: not text (UTF-8)`);
  }
}

/**
 * Replaces a file, or makes it: at every moment either the old or the new content stands there in
 * full. Mode and owner stay as they are, or are `ownership`'s; a symlink stays, what it leads to is
 * replaced. Throws FILE_UNUSABLE, the file untouched.
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

/** Throws FILE_UNUSABLE where a file that is there could not be written. */
export function checkWritable(disk: Disk, path: string): void {
  try {
    if (exists(disk, path)) disk.checkWritable(disk.realPath(path));
  } catch (error) {
    throw unusable(path, 'cannot be written', error);
  }
}

/**
 * Removes a file and what an interrupted run may have left beside it; nothing to remove is no
 * error. Throws FILE_UNUSABLE.
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
 * Where the new content of a file is written first: in the same folder, so that it can be put in
 * place at once.
 */
export function temporaryOf(path: string): string {
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

/** One line: the file, what could not be done, and the system's reason. */
export function unusable(path: string, what: string, error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  const code = systemCode(error);
  const reason =
    REASONS[code] ??
    (code === '' ? (error instanceof Error ? error.message : String(error)) : code);
  return new ShoalError('FILE_UNUSABLE', `${path}: ${what}: ${reason}`, { cause: error });
}

const REASONS: Record<string, string> = {
  ENOENT: 'its folder is not there',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'no permission',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EFBIG: `it is longer than a config file can be (${CONFIG_FILE_BYTES_MAX} bytes)`,
  ELOOP: 'a symlink leads back to itself',
};

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

/** Removes a file if that can be done. */
export function removeQuietly(disk: Disk, path: string): void {
  try {
    disk.remove(path);
  } catch {
    // What matters has been said or done; a leftover is overwritten by the next run.
  }
}
