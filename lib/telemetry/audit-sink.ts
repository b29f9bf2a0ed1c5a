import type { Meter } from './counters.ts';
import type { LineTarget } from './line-output.ts';
import { AUDIT_BYTES_INT32 } from './meter-layout.ts';

/** Control's end of the audit log: passes on the batches of all threads and counts the lines. */
export class AuditSink {
  readonly #header: Int32Array;
  readonly #meter: Meter;
  readonly #target: LineTarget;

  /**
   * `meter`: control's. `target`: the process's `LineOutput` (logAuditMode stdout) or an
   * `AuditFile` (file).
   */
  constructor(meter: Meter, target: LineTarget) {
    this.#header = new Int32Array(meter.shared);
    this.#meter = meter;
    this.#target = target;
  }

  /** One batch from `AuditProbe.post`. */
  accept(batch: Uint8Array, lines: number): void {
    Atomics.sub(this.#header, AUDIT_BYTES_INT32, batch.length);
    this.#meter.count(this.#target.write(batch) ? 'audit.written' : 'audit.dropped', lines);
  }

  close(): Promise<void> {
    return this.#target.close();
  }
}
