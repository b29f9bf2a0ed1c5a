import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import type { Clock, Timer } from '../clock.ts';
import {
  AUDIT_FILES_MAX,
  AUDIT_FILE_AGE_HOURS,
  AUDIT_FILE_BYTES_MAX,
  AUDIT_SINK_BYTES_MAX,
  LOG_CLOSE_TIMEOUT_MS,
  LOG_REOPEN_MS,
} from './limits.ts';
import { settleWithin, type LineTarget } from './line-output.ts';

interface AuditFileOptions {
  directory: string;
  clock: Clock;
  /** Called once per failure, and again when writing works once more (with null). */
  onState: (error: Error | null) => void;
  fileBytesMax?: number;
  filesMax?: number;
}

/** `audit.log`; `audit-20220830-154452-1.log` after rotation. */
function fileName(time: number | Date | null, index?: number): string {
  if (!(time instanceof Date)) return 'audit.log';
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${time.getFullYear()}${two(time.getMonth() + 1)}${two(time.getDate())}`;
  const second = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join('');
  return `audit-${day}-${second}-${index ?? 1}.log`;
}

/**
 * The audit log as a file, rotated by size and age. A disk failure loses lines and does not stop
 * the node.
 */
export class AuditFile implements LineTarget {
  readonly #options: AuditFileOptions;
  #stream: RotatingFileStream | undefined;
  #reopen: Timer | undefined;
  #failed = false;
  /** A write failed: the last line may be incomplete. */
  #torn = false;

  constructor(options: AuditFileOptions) {
    this.#options = options;
    this.#open();
  }

  write(lines: string | Uint8Array): boolean {
    const stream = this.#stream;
    if (stream === undefined || stream.writableLength + lines.length > AUDIT_SINK_BYTES_MAX)
      return false;
    stream.write(lines);
    return true;
  }

  close(): Promise<void> {
    this.#reopen?.cancel();
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined) return Promise.resolve();
    const closed = new Promise<void>((resolve) => {
      stream.once('close', () => resolve());
      stream.end();
    });
    return settleWithin(this.#options.clock, LOG_CLOSE_TIMEOUT_MS, closed);
  }

  #open(): void {
    const { directory, onState, clock } = this.#options;
    const bytesMax = this.#options.fileBytesMax ?? AUDIT_FILE_BYTES_MAX;
    const stream = createStream(fileName, {
      path: directory,
      size: `${bytesMax}B`,
      interval: `${AUDIT_FILE_AGE_HOURS}h`,
      maxFiles: this.#options.filesMax ?? AUDIT_FILES_MAX,
      history: 'audit.history',
      mode: 0o640,
    });
    let isOpen = false;
    const works = (): void => {
      if (this.#failed) onState(null);
      this.#failed = false;
      this.#torn = false;
    };
    // A file can be opened on a full disk; only a write shows that the disk works again.
    if (this.#torn) stream.write('\n', (error) => void (error == null && works()));
    stream.once('open', () => {
      isOpen = true;
      if (!this.#torn) works();
    });
    stream.on('error', (error: Error) => {
      if (this.#stream !== stream) return;
      this.#stream = undefined;
      this.#torn ||= isOpen;
      if (!this.#failed) onState(error);
      this.#failed = true;
      stream.destroy();
      this.#reopen = clock.after(LOG_REOPEN_MS, () => this.#open());
    });
    this.#stream = stream;
  }
}
