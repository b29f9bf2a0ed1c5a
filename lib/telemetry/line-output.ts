import { createWriteStream, fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { systemClock, type Clock, type Timer } from '../clock.ts';
import { LOG_BYTES_MAX, LOG_CLOSE_TIMEOUT_MS, LOG_REOPEN_MS } from './limits.ts';

/** Writes whole lines; false when they were dropped. */
export interface LineTarget {
  write(lines: string | Uint8Array): boolean;
  /** Closes once everything is written, after a failure, or after a deadline. */
  close(): Promise<void>;
}

/**
 * A stream to a descriptor of the process that never blocks. `process.stdout` and `stderr` write
 * to pipes and sockets without blocking, but to files synchronously; files go through the thread
 * pool instead.
 */
function streamTo(fd: number): Writable {
  const file = fstatSync(fd).isFile();
  if (!file && fd === 1) return process.stdout;
  if (!file && fd === 2) return process.stderr;
  return createWriteStream('', { fd, autoClose: false });
}

/**
 * Bounded output of lines to stdout or stderr. A slow reader loses lines and costs no memory or
 * time; a reader that goes away is not an error; a file on a full disk is tried again. Used on
 * control only, so that lines do not mix.
 */
export class LineOutput implements LineTarget {
  readonly #fd: number;
  readonly #bytesMax: number;
  readonly #clock: Clock;
  #stream: Writable;
  #failed = false;
  #reopen: Timer | undefined;

  constructor(fd: number, bytesMax = LOG_BYTES_MAX, clock = systemClock) {
    this.#fd = fd;
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.#stream = this.#open();
  }

  write(lines: string | Uint8Array): boolean {
    if (this.#failed || this.#stream.writableLength + lines.length > this.#bytesMax) return false;
    this.#stream.write(lines);
    return true;
  }

  /**
   * Waits until everything is written, the reader is gone, or the deadline passes. The descriptor
   * stays open: it belongs to the process.
   */
  close(): Promise<void> {
    this.#reopen?.cancel();
    if (this.#failed) return Promise.resolve();
    return settleWithin(
      this.#clock,
      LOG_CLOSE_TIMEOUT_MS,
      new Promise((resolve) => this.#stream.write('', () => resolve())),
    );
  }

  #open(): Writable {
    const stream = streamTo(this.#fd);
    stream.on('error', () => {
      this.#failed = true;
      // A reader that is gone does not come back; a disk can have room again.
      if (fstatSync(this.#fd).isFile())
        this.#reopen ??= this.#clock.after(LOG_REOPEN_MS, () => this.#tryAgain());
    });
    return stream;
  }

  #tryAgain(): void {
    this.#reopen = undefined;
    this.#failed = false;
    this.#stream = this.#open();
    // An incomplete line must not join with the next one.
    this.#stream.write('\n');
  }
}

/** Settles with `work`, at the latest after `timeoutMs`. */
export async function settleWithin(
  clock: Clock,
  timeoutMs: number,
  work: Promise<void>,
): Promise<void> {
  let timer: Timer | undefined;
  const deadline = new Promise<void>((resolve) => (timer = clock.after(timeoutMs, resolve)));
  try {
    await Promise.race([work, deadline]);
  } finally {
    timer?.cancel();
  }
}
