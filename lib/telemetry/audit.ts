import type { Clock, Timer } from '../clock.ts';
import { AUDIT_BATCH_BYTES, AUDIT_FLUSH_MS, AUDIT_SINK_BYTES_MAX } from './limits.ts';
import type { Meter } from './counters.ts';
import { AUDIT_BYTES_INT32 } from './meter-layout.ts';
import { putInteger } from './put-integer.ts';

/** The operations of the audit log (docs/SPEC.md 6). */
const operations = [
  'http:pread',
  'rpc:stat',
  'rpc:pread',
  'download',
  'filewrite',
  'fileread',
] as const;
type AuditOperation = (typeof operations)[number];

const SIZE = Buffer.from('][size=');
const LATENCY = Buffer.from('][latency=');
const END = Buffer.from(']\n');
/**
 * Room for the part after the pathname: three numbers of at most 17 characters, and the text
 * between them.
 */
const TAIL_BYTES_MAX = 3 * 17 + SIZE.length + LATENCY.length + END.length;

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** `2022/08/30 15:44:52`, local time. */
export function auditStamp(wallMs: number): string {
  const at = new Date(wallMs);
  const day = `${at.getFullYear()}/${two(at.getMonth() + 1)}/${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/**
 * 16 hex digits that identify a thread of a process, in place of the sample's thread pointer.
 */
export function auditThread(pid: number, threadId: number): string {
  return (BigInt(pid) * 65_536n + BigInt(threadId)).toString(16).toUpperCase().padStart(16, '0');
}

interface AuditProbeOptions {
  clock: Clock;
  /** The thread's own meter; it counts dropped lines. */
  meter: Meter;
  /** Identifies this thread within the process. */
  threadId: number;
  /**
   * Hands whole lines to the sink on control; must not block. Transfers ownership of the batch.
   */
  post: (batch: Uint8Array<ArrayBuffer>, lines: number) => void;
}

/**
 * A thread's end of the audit log: writes lines as bytes into a batch and transfers the batch by
 * size or time. It never waits: beyond the bound, lines are dropped and counted. There is no probe
 * while the audit log is off: call `probe?.line(...)`.
 */
export class AuditProbe {
  readonly #options: AuditProbeOptions;
  /** Bytes of all threads that are handed over and not yet taken by the sink. */
  readonly #header: Int32Array;
  readonly #threadPart: string;
  #second = -1;
  /** The part before the pathname of this second's lines, per operation. */
  #starts = {} as Record<AuditOperation, Uint8Array>;
  #pathname = '';
  /** The last pathname, encoded, with the text that follows it. */
  #path: Uint8Array = Buffer.from('][offset=');
  #batch = new Uint8Array(0);
  #usedBytes = 0;
  #lines = 0;
  #timer: Timer | undefined;

  constructor(options: AuditProbeOptions) {
    this.#options = options;
    this.#header = new Int32Array(options.meter.shared);
    this.#threadPart = `|AUDIT|th=${auditThread(process.pid, options.threadId)}|`;
  }

  /**
   * One finished operation. `pathname` is `/` + URL without its query (a query is cut off if one is
   * there), `sizeBytes` negative marks a failure, `latencyUs` is from the request to the result.
   */
  line(
    operation: AuditOperation,
    pathname: string,
    offsetBytes: number,
    sizeBytes: number,
    latencyUs: number,
  ): void {
    const wallMs = this.#options.clock.wallMs();
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) this.#begin(second, wallMs);
    if (pathname !== this.#pathname) this.#take(pathname);
    const start = this.#starts[operation];
    const path = this.#path;
    const neededBytes = start.length + path.length + TAIL_BYTES_MAX;
    if (this.#usedBytes + neededBytes > this.#batch.length) this.#makeRoom(neededBytes);
    const batch = this.#batch;
    let at = this.#usedBytes;
    batch.set(start, at);
    at += start.length;
    batch.set(path, at);
    at += path.length;
    at = putInteger(batch, at, offsetBytes);
    at = putBytes(batch, at, SIZE);
    at = putInteger(batch, at, sizeBytes);
    at = putBytes(batch, at, LATENCY);
    at = putInteger(batch, at, Math.round(latencyUs));
    this.#usedBytes = putBytes(batch, at, END);
    this.#lines += 1;
    this.#timer ??= this.#options.clock.after(AUDIT_FLUSH_MS, () => this.flush());
  }

  /** Hands over the rest; the last call before the thread ends. */
  close(): void {
    this.flush();
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#lines === 0) return;
    const usedBytes = this.#usedBytes;
    const lines = this.#lines;
    this.#usedBytes = 0;
    this.#lines = 0;
    if (Atomics.load(this.#header, AUDIT_BYTES_INT32) + usedBytes > AUDIT_SINK_BYTES_MAX) {
      this.#options.meter.count('audit.dropped', lines);
      return;
    }
    Atomics.add(this.#header, AUDIT_BYTES_INT32, usedBytes);
    // Copy a few lines instead of transferring a mostly empty batch.
    const batch =
      usedBytes < this.#batch.length / 4
        ? this.#batch.slice(0, usedBytes)
        : this.#batch.subarray(0, usedBytes);
    if (batch.buffer === this.#batch.buffer) this.#batch = new Uint8Array(0);
    this.#options.post(batch, lines);
  }

  #begin(second: number, wallMs: number): void {
    this.#second = second;
    const stamp = auditStamp(wallMs);
    for (const operation of operations)
      this.#starts[operation] = Buffer.from(`${stamp}${this.#threadPart}${operation}[pathname=`);
  }

  /** `][` ends a field; a URL that contains it must not forge fields. */
  #take(pathname: string): void {
    this.#pathname = pathname;
    const query = pathname.indexOf('?');
    const path = query === -1 ? pathname : pathname.slice(0, query);
    this.#path = Buffer.from(`${path.replaceAll('][', ']%5B')}][offset=`);
  }

  #makeRoom(neededBytes: number): void {
    this.flush();
    if (this.#batch.length < neededBytes)
      this.#batch = new Uint8Array(Math.max(AUDIT_BATCH_BYTES, neededBytes));
  }
}

/** For a few bytes a loop is faster than a call. */
function putBytes(target: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) target[at + i] = bytes[i]!;
  return at + bytes.length;
}
