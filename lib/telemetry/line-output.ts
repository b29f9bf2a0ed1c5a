import sonic, { type SonicBoom } from 'sonic-boom';
import { LOG_BYTES_MAX } from '../limits.ts';

/** Takes whole lines; false when they were dropped. */
export interface LineTarget {
  write(lines: string): boolean;
  /** Ends it once what was taken is out, or after it has failed. */
  close(): Promise<void>;
}

/**
 * Lines to a file descriptor without ever waiting for its reader: `process.stdout` blocks the thread
 * on a full pipe. Everything a process prints there goes through one of these, on control, so
 * that no line lands inside another. A reader that goes away is not an error of the node.
 */
export class LineOutput implements LineTarget {
  readonly #boom: SonicBoom;
  #dropped = false;
  #failed = false;

  constructor(fd: number, bytesMax = LOG_BYTES_MAX) {
    this.#boom = new sonic.SonicBoom({ fd, sync: false, maxLength: bytesMax });
    this.#boom.on('drop', () => (this.#dropped = true));
    this.#boom.on('error', () => (this.#failed = true));
  }

  write(lines: string): boolean {
    if (this.#failed) return false;
    this.#dropped = false;
    this.#boom.write(lines);
    return !this.#dropped;
  }

  /** Waits until everything taken has been written, or the reader is gone. */
  flush(): Promise<void> {
    if (this.#failed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#boom.once('error', () => resolve());
      this.#boom.flush(() => resolve());
    });
  }

  /** Flushes; the descriptor itself stays open, it is the process's. */
  close(): Promise<void> {
    return this.flush();
  }
}
