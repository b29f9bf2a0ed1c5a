import { createWriteStream, fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { systemClock, type Clock, type Timer } from '../clock.ts';
import { LOG_BYTES_MAX, LOG_CLOSE_TIMEOUT_MS } from '../limits.ts';

/** Takes whole lines; false when they were dropped. */
export interface LineTarget {
  write(lines: string | Uint8Array): boolean;
  /** Ends it once what was taken is out, after it has failed, or after a deadline. */
  close(): Promise<void>;
}

/**
 * A stream to a descriptor of the process that never waits for the reader. `process.stdout` and `stderr` write to
 * pipes and sockets without blocking, but to files at once; those go through the thread pool instead.
 */
function streamTo(fd: number): Writable {
  const file = fstatSync(fd).isFile();
  if (!file && fd === 1) return process.stdout;
  if (!file && fd === 2) return process.stderr;
  return createWriteStream('', { fd, autoClose: false });
}

/**
 * Lines to stdout or stderr, bounded: a reader that is slow costs lines, not memory or time, and one that goes
 * away is not an error of the node. Used on control only, so that no line lands inside another.
 */
export class LineOutput implements LineTarget {
  readonly #stream: Writable;
  readonly #bytesMax: number;
  readonly #clock: Clock;
  #failed = false;

  constructor(fd: number, bytesMax = LOG_BYTES_MAX, clock = systemClock) {
    this.#stream = streamTo(fd);
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.#stream.on('error', () => (this.#failed = true));
  }

  write(lines: string | Uint8Array): boolean {
    if (this.#failed || this.#stream.writableLength + lines.length > this.#bytesMax) return false;
    this.#stream.write(lines);
    return true;
  }

  /** Waits until everything taken is out, the reader is gone, or the deadline is over. The descriptor stays open: it is the process's. */
  close(): Promise<void> {
    if (this.#failed) return Promise.resolve();
    return settleWithin(this.#clock, LOG_CLOSE_TIMEOUT_MS, new Promise((resolve) => this.#stream.write('', () => resolve())));
  }
}

/** Settles with `work`, or after `timeoutMs` without it. */
export async function settleWithin(clock: Clock, timeoutMs: number, work: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  const deadline = new Promise<void>((resolve) => (timer = clock.after(timeoutMs, resolve)));
  try {
    await Promise.race([work, deadline]);
  } finally {
    timer?.cancel();
  }
}
