import { removeFile, systemDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import { withMirror, withoutMirror } from './docker-daemon.ts';
import { KeptFile } from './kept-file.ts';

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

  /** The content that `configure` would write. */
  preview(mirror: string): string {
    return this.#file.named(() => withMirror(this.#file.read(), mirror));
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
