import { ShoalError } from '../errors.ts';
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

/** A config file of another program, with a backup of its content before Shoal's first change. */
export class KeptFile {
  readonly path: string;
  readonly backupPath: string;
  readonly #disk: Disk;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.path = path;
    this.backupPath = `${path}.shoal-backup`;
  }

  /** Runs `work`. The errors of the editors get the file's name. */
  named<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ShoalError) || error.message.startsWith(this.path)) throw error;
      throw new ShoalError(error.code, `${this.path}: ${error.message}; nothing was changed`, {
        cause: error,
      });
    }
  }

  /** Null if it does not exist. Throws FILE_UNUSABLE naming the file. */
  read(): string | null {
    return readText(this.#disk, this.path);
  }

  /** Null if it does not exist. Throws FILE_UNUSABLE naming the backup. */
  readBackup(): string | null {
    return readText(this.#disk, this.backupPath);
  }

  /**
   * Backs the file up unless a backup exists, then replaces it with `text`. An interruption between
   * the two leaves the file unchanged with its backup. Throws FILE_UNUSABLE, and leaves no backup
   * of an unchanged file.
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

  /** Replaces the file with `text`, then removes the backup. Throws FILE_UNUSABLE. */
  settle(text: string): void {
    if (this.read() !== text) replaceFile(this.#disk, this.path, text);
    this.dropBackup();
  }

  /** Restores the backup: content, mode and owner; a symlink is kept. Throws FILE_UNUSABLE. */
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
