import { removeFile, systemDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import { isSame, mirrorsOf, withMirror, withoutMirror } from './docker-daemon.ts';
import { KeptFile } from './kept-file.ts';

export interface DockerStatus {
  file: string;
  /** In the order in which Docker asks them. */
  mirrors: string[];
  /** Whether the node is asked first. */
  first: boolean;
  /** Path of the backup; null if there is none. */
  backup: string | null;
}

/**
 * Docker's daemon.json on this machine. Every method throws FILE_UNUSABLE naming the file; the file
 * is then unchanged.
 */
export class DockerFile {
  readonly #file: KeptFile;
  readonly #disk: Disk;

  constructor(path: string, disk: Disk = systemDisk) {
    this.#file = new KeptFile(disk, path);
    this.#disk = disk;
  }

  status(mirror: string): DockerStatus {
    return this.#file.named(() => {
      const mirrors = mirrorsOf(this.#file.read());
      const backup = this.#file.readBackup() === null ? null : this.#file.backupPath;
      const [first = ''] = mirrors;
      return { file: this.#file.path, mirrors, first: isSame(first, mirror), backup };
    });
  }

  /** Adds the mirror. Returns whether the file changed. */
  configure(mirror: string): boolean {
    return this.#file.named(() => {
      const text = this.#file.read();
      const edited = withMirror(text, mirror);
      if (edited !== text) this.#file.change(edited);
      return edited !== text;
    });
  }

  /**
   * Removes the mirror. If nothing else has changed since `configure`, the file becomes
   * byte-identical to what it was, or is removed if it did not exist.
   */
  restore(mirror: string): boolean {
    return this.#file.named(() => {
      const text = this.#file.read();
      if (text === null) return false;
      const edited = withoutMirror(text, mirror, this.#file.readBackup());
      if (edited === null) removeFile(this.#disk, this.#file.path);
      else this.#file.settle(edited);
      return edited !== text;
    });
  }
}
