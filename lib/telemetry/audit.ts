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
export type AuditOperation = (typeof operations)[number];

const SIZE = Buffer.from('][size=');
const LATENCY = Buffer.from('][latency=');
const END = Buffer.from(']\n');
/**
 * Room for what follows the pathname: three numbers of at most 17 characters, and the words between
 * them.
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
 * 16 hex digits that tell one thread of one process from the rest, as the sample's thread pointer
 * does.
 */
export function auditThread(pid: number, threadId: number): string {
  return (BigInt(pid) * 65_536n + BigInt(threadId)).toString(16).toUpperCase().padStart(16, '0');
}

export interface AuditProbeOptions {
  clock: Clock;
  /** The thread's own; lines that had to be dropped are counted in it. */
  meter: Meter;
  /** Tells this thread from the others of the process. */
  threadId: number;
  /**
   * Hands whole lines to the sink on control; must not block. The batch is given away: its memory
   * may be moved to another thread.
   */
  post: (batch: Uint8Array<ArrayBuffer>, lines: number) => void;
}

/**
 * A thread's end of the audit log: writes lines, as bytes, into a batch and hands it over by size
 * or by time; the batch's memory moves, nothing is copied. It never waits: past the bound its lines
 * are dropped and counted. With the audit log off there is no probe: call `probe?.line(...)`.
 */
export class AuditProbe {
  readonly #options: AuditProbeOptions;
  /** Bytes of all threads handed over and not yet taken by the sink: the shared header's word. */
  readonly #header: Int32Array;
  readonly #threadPart: string;
  #second = -1;
  /** Of a line of this second, per operation, what comes before the pathname. */
  #starts = {} as Record<AuditOperation, Uint8Array>;
  #pathname = '';
  /** The pathname last asked for, as it is written, with the word that follows it. */
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

  /** Hands over what is held; call it last before the thread ends. */
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
    // A few lines are not worth a whole batch's memory on its way.
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

  /** `][` ends a field: a URL that holds it must not make up fields of its own. */
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

/** For a few bytes a loop is quicker than a call. */
function putBytes(target: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) target[at + i] = bytes[i]!;
  return at + bytes.length;
}
