import type { ContentFile } from './content-store.ts';

export interface RuntimeLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}

/** The log lines of this room. */
export class Report {
  readonly #log: RuntimeLog;
  readonly #dir: string;

  constructor(log: RuntimeLog, dir: string) {
    this.#log = log;
    this.#dir = dir;
  }

  reading(blobs: number): void {
    this.#log.info({ dir: this.#dir, blobs }, "reading the container runtime's content store");
  }

  unreadable(err: unknown): void {
    this.#log.warn(
      { err, dir: this.#dir },
      "cannot read the container runtime's content store: layers are written to the cache; " +
        'check that it is mounted and readable, or set CacheConfig.runtimeStore to off',
    );
  }

  dropsLayers(): void {
    this.#log.warn(
      { dir: this.#dir },
      'the runtime drops layers after unpacking them (discard_unpacked_layers): ' +
        'they are written to the cache from now on',
    );
  }

  keepsLayers(): void {
    this.#log.info(
      { dir: this.#dir },
      'the runtime keeps its layers: they are no longer written to the cache',
    );
  }

  left(blob: string, { path }: ContentFile): void {
    this.#log.info(
      { blob, path },
      'a blob has left the content store: reading it from other nodes or the registry',
    );
  }

  changed(blob: string, { path }: ContentFile): void {
    this.#log.warn(
      { blob, path },
      'a blob in the content store has changed: ignored until its file changes again, ' +
        'and read from other nodes or the registry',
    );
  }

  wrong(blob: string, { path }: ContentFile): void {
    this.#log.warn(
      { blob, path },
      'a blob in the content store does not have its digest: ignored until the file changes',
    );
  }
}
