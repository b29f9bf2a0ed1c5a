import { realpathSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { FILE_WATCH_SETTLE_MS } from './limits.ts';

/**
 * Calls `changed` after one of some files was written, replaced, or reached by another symbolic
 * link, as volumes of Kubernetes do it. Directories are watched, since editors and Kubernetes
 * replace files. Several changes within FILE_WATCH_SETTLE_MS are one. Costs nothing while nothing
 * changes, and does not keep the process alive.
 */
export class FileWatch {
  readonly #changed: () => void;
  readonly #watchers = new Map<string, FSWatcher>();
  /** By directory. */
  #names = new Map<string, Set<string>>();
  #timer: NodeJS.Timeout | null = null;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Watches these files, and no others any more. A directory that is not there is left out. */
  watch(files: readonly string[]): void {
    const names = new Map<string, Set<string>>();
    for (const path of files.flatMap(pathsOf)) {
      const dir = dirname(path);
      names.set(dir, (names.get(dir) ?? new Set()).add(basename(path)));
    }
    this.#names = names;
    for (const [dir, watcher] of this.#watchers)
      if (!names.has(dir)) {
        watcher.close();
        this.#watchers.delete(dir);
      }
    for (const dir of names.keys()) if (!this.#watchers.has(dir)) this.#open(dir);
  }

  close(): void {
    this.watch([]);
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #open(dir: string): void {
    try {
      const watcher = watch(dir, { persistent: false }, (_event, name) => this.#seen(dir, name));
      // The directory is gone; a SIGHUP still reloads.
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(dir);
      });
      this.#watchers.set(dir, watcher);
    } catch {
      // As above.
    }
  }

  #seen(dir: string, name: string | null): void {
    // Kubernetes changes the link `..data`, through which all files of a volume are reached.
    if (name !== null && name !== '..data' && this.#names.get(dir)?.has(name) !== true) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#changed();
    }, FILE_WATCH_SETTLE_MS).unref();
  }
}

/** The path as named, and where its links lead. */
function pathsOf(path: string): string[] {
  try {
    return [path, realpathSync(path)];
  } catch {
    return [path];
  }
}
