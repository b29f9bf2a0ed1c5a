import {
  checkWritable,
  exists,
  readText,
  removeFile,
  removeQuietly,
  replaceFile,
  unusable,
} from './disk.ts';
import type { Disk } from './disk.ts';

/**
 * A config file of somebody else's, and beside it the copy of what it was before Shoal first
 * changed it.
 */
export class KeptFile {
  readonly path: string;
  readonly backupPath: string;
  readonly #disk: Disk;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.path = path;
    this.backupPath = `${path}.shoal-backup`;
  }

  /** Null when there is none. Throws FILE_UNUSABLE naming the file. */
  read(): string | null {
    return readText(this.#disk, this.path);
  }

  /** Null when there is none. Throws FILE_UNUSABLE naming the copy. */
  readBackup(): string | null {
    return readText(this.#disk, this.backupPath);
  }

  /**
   * Puts `text` in the place of the file, which is kept first unless it is already. A run broken
   * off between the two leaves the file as it was, and its copy. Throws FILE_UNUSABLE, and leaves
   * no copy of what was not changed.
   */
  change(text: string, { keepAnew = false } = {}): void {
    checkWritable(this.#disk, this.path);
    const isKeptNow = keepAnew || this.readBackup() === null;
    if (isKeptNow) this.#keep();
    try {
      replaceFile(this.#disk, this.path, text);
    } catch (error) {
      if (isKeptNow) removeQuietly(this.#disk, this.backupPath);
      throw error;
    }
  }

  /**
   * Puts `text` in the place of the file, then forgets the copy: its purpose is served. Throws
   * FILE_UNUSABLE.
   */
  settle(text: string): void {
    if (this.read() !== text) replaceFile(this.#disk, this.path, text);
    this.dropBackup();
  }

  /** Puts the copy back: content, mode and owner; a symlink stays. Throws FILE_UNUSABLE. */
  restore(): void {
    try {
      replaceFile(
        this.#disk,
        this.path,
        this.#disk.read(this.backupPath),
        this.#disk.ownership(this.backupPath),
      );
    } catch (error) {
      throw unusable(this.path, 'cannot be restored', error);
    }
    this.dropBackup();
  }

  dropBackup(): void {
    removeFile(this.#disk, this.backupPath);
  }

  #keep(): void {
    try {
      if (!exists(this.#disk, this.path)) return;
      replaceFile(
        this.#disk,
        this.backupPath,
        this.#disk.read(this.path),
        this.#disk.ownership(this.path),
      );
    } catch (error) {
      throw unusable(this.path, 'cannot be backed up', error);
    }
  }
}
