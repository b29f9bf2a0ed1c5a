import { ShoalError } from '../errors.ts';
import { systemDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import { KeptFile } from './kept-file.ts';
import { isOwnProxy } from './node-address.ts';
import { disableP2p, enableP2p, readP2p } from './overlaybd.ts';
import type { OverlaybdP2p } from './overlaybd.ts';
import { OVERLAYBD_ADDRESS } from './places.ts';

export interface OverlaybdStatus extends OverlaybdP2p {
  file: string;
  /** Path of the backup; null if there is none. */
  backup: string | null;
}

export interface OverlaybdChange extends OverlaybdStatus {
  changed: boolean;
}

/**
 * overlaybd's config file on this machine. Every method throws FILE_UNUSABLE naming the file; the
 * file is then unchanged.
 */
export class OverlaybdFile {
  readonly #file: KeptFile;

  constructor(path: string, disk: Disk = systemDisk) {
    this.#file = new KeptFile(disk, path);
  }

  status(): OverlaybdStatus {
    return this.#file.named(() => this.#statusOf(this.#read()));
  }

  /**
   * Turns P2P on. Without an address, keeps the one in the file if it is this machine's Shoal node,
   * else uses OVERLAYBD_ADDRESS.
   */
  enable(address: string | null): OverlaybdChange {
    return this.#file.named(() => {
      const text = this.#read();
      const found = readP2p(text).address;
      const chosen = address ?? (found !== null && isOwnProxy(found) ? found : OVERLAYBD_ADDRESS);
      const edited = enableP2p(text, chosen);
      if (edited !== text) this.#file.change(edited);
      return { ...this.#statusOf(edited), changed: edited !== text };
    });
  }

  /**
   * Turns P2P off. If nothing else has changed since `enable`, the file becomes byte-identical to
   * what it was.
   */
  disable(): OverlaybdChange {
    return this.#file.named(() => {
      const text = this.#read();
      const edited = disableP2p(text, this.#file.readBackup());
      this.#file.settle(edited);
      return { ...this.#statusOf(edited), changed: edited !== text };
    });
  }

  #read(): string {
    const text = this.#file.read();
    if (text === null)
      throw new ShoalError(
        'FILE_UNUSABLE',
        `${this.#file.path}: no such file; install overlaybd, or name its config with --file`,
      );
    return text;
  }

  #statusOf(text: string): OverlaybdStatus {
    return {
      file: this.#file.path,
      ...readP2p(text),
      backup: this.#file.readBackup() === null ? null : this.#file.backupPath,
    };
  }
}
