import { basename, dirname } from 'node:path';
import type { Disk } from './disk.ts';

/** A file as a command would leave it; `text` is null for one that it would remove. */
interface PlannedFile {
  path: string;
  text: string | null;
}

const BACKUP = /\.shoal-backup$/;

/**
 * A disk that keeps changes in memory, for commands that only show what they would do. It reads
 * through to `real`, which does not change. Whether a file is writable is not asked: a preview
 * needs no rights.
 */
export class Rehearsal implements Disk {
  readonly #real: Disk;
  /** Content by path; null: removed. */
  readonly #files = new Map<string, Buffer | null>();
  /** Whether a directory was made or removed. */
  readonly #folders = new Map<string, boolean>();

  constructor(real: Disk) {
    this.#real = real;
  }

  /** What would change, backups of ours left out. */
  get planned(): PlannedFile[] {
    return [...this.#files]
      .filter(([path]) => !BACKUP.test(path))
      .map(([path, bytes]) => ({ path, text: bytes?.toString() ?? null }))
      .filter(({ path, text }) => text !== this.#realText(path));
  }

  read(path: string): Buffer {
    const bytes = this.#files.get(path);
    if (bytes === undefined) return this.#real.read(path);
    return bytes ?? missing(path);
  }

  ownership(path: string): ReturnType<Disk['ownership']> {
    if (this.#files.get(path) === null || this.#folders.get(path) === false) missing(path);
    if (this.#files.has(path) || this.#folders.has(path)) return { mode: 0o644, uid: 0, gid: 0 };
    return this.#real.ownership(path);
  }

  realPath(path: string): string {
    return this.#files.has(path) ? path : this.#real.realPath(path);
  }

  checkWritable(): void {}

  create(path: string, bytes: Uint8Array): void {
    this.#files.set(path, Buffer.from(bytes));
  }

  rename(from: string, to: string): void {
    this.#files.set(to, this.read(from));
    this.#forget(from);
  }

  remove(path: string): void {
    this.ownership(path);
    this.#forget(path);
  }

  makeFolder(path: string): void {
    this.#folders.set(path, true);
  }

  removeFolder(path: string): void {
    if (this.list(path).length > 0)
      throw Object.assign(new Error(`${path} is not empty`), { code: 'ENOTEMPTY' });
    this.#folders.set(path, false);
  }

  list(path: string): string[] {
    const names = new Set(this.#folders.has(path) ? [] : this.#real.list(path));
    for (const [file, bytes] of this.#files)
      if (dirname(file) === path) names[bytes === null ? 'delete' : 'add'](basename(file));
    return [...names];
  }

  /** A file that was only here has never been; one of the real disk counts as removed. */
  #forget(path: string): void {
    if (this.#realText(path) === null) this.#files.delete(path);
    else this.#files.set(path, null);
  }

  #realText(path: string): string | null {
    try {
      return this.#real.read(path).toString();
    } catch {
      return null;
    }
  }
}

function missing(path: string): never {
  throw Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT' });
}
