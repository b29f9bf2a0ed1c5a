import type { Clock, Timer } from '../clock.ts';
import { AUDIT_BATCH_BYTES, AUDIT_FLUSH_MS, AUDIT_SINK_BYTES_MAX } from '../limits.ts';
import type { Meter } from './counters.ts';
import { AUDIT_BYTES_INT32 } from './meter-layout.ts';

/** The operations of the audit log (CONTRACT 6). */
export type AuditOperation = 'http:pread' | 'rpc:stat' | 'rpc:pread' | 'download' | 'filewrite' | 'fileread';

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** `2022/08/30 15:44:52`, local time. */
export function auditStamp(wallMs: number): string {
  const at = new Date(wallMs);
  const day = `${at.getFullYear()}/${two(at.getMonth() + 1)}/${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** 16 hex digits that tell one thread of one process from the rest, as the seed's thread pointer does. */
export function auditThread(pid: number, threadId: number): string {
  return (BigInt(pid) * 65_536n + BigInt(threadId)).toString(16).toUpperCase().padStart(16, '0');
}

export interface AuditProbeOptions {
  clock: Clock;
  /** The thread's own; lines that had to be dropped are counted in it. */
  meter: Meter;
  /** Tells this thread from the others of the process. */
  threadId: number;
  /** Hands whole lines to the sink on control; must not block. */
  post: (batch: string, lines: number) => void;
}

/**
 * A thread's end of the audit log: makes lines (about a microsecond each), collects them and hands them
 * over in batches, by size or by time. It never waits: past the bound its lines are dropped and counted.
 * With the audit log off there is no probe: call `probe?.line(...)`.
 */
export class AuditProbe {
  readonly #options: AuditProbeOptions;
  /** Bytes of all threads handed over and not yet taken by the sink: the shared header's word. */
  readonly #header: Int32Array;
  readonly #threadPart: string;
  #second = -1;
  #lineStart = '';
  #batch = '';
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
  line(operation: AuditOperation, pathname: string, offsetBytes: number, sizeBytes: number, latencyUs: number): void {
    const wallMs = this.#options.clock.wallMs();
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lineStart = auditStamp(wallMs) + this.#threadPart;
    }
    const query = pathname.indexOf('?');
    const path = query === -1 ? pathname : pathname.slice(0, query);
    this.#batch += `${this.#lineStart}${operation}[pathname=${path}][offset=${offsetBytes}][size=${sizeBytes}][latency=${Math.round(latencyUs)}]\n`;
    this.#lines += 1;
    if (this.#batch.length >= AUDIT_BATCH_BYTES) this.flush();
    else this.#timer ??= this.#options.clock.after(AUDIT_FLUSH_MS, () => this.flush());
  }

  /** Hands over what is held; call it last before the thread ends. */
  close(): void {
    this.flush();
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#lines === 0) return;
    const batch = this.#batch;
    const lines = this.#lines;
    this.#batch = '';
    this.#lines = 0;
    if (Atomics.load(this.#header, AUDIT_BYTES_INT32) + batch.length > AUDIT_SINK_BYTES_MAX) {
      this.#options.meter.count('audit.dropped', lines);
      return;
    }
    Atomics.add(this.#header, AUDIT_BYTES_INT32, batch.length);
    this.#options.post(batch, lines);
  }
}
