import type { Meter } from './counters.ts';
import type { LineTarget } from './line-output.ts';

/** Control's end of the audit log: takes the batches of all threads and passes them on, counting what got through. */
export class AuditSink {
  readonly #gate: Int32Array;
  readonly #meter: Meter;
  readonly #target: LineTarget;

  /** `target`: the process's `LineOutput` (logAuditMode stdout) or an `AuditFile` (file). */
  constructor(gate: SharedArrayBuffer, meter: Meter, target: LineTarget) {
    this.#gate = new Int32Array(gate);
    this.#meter = meter;
    this.#target = target;
  }

  /** One batch from `AuditProbe.post`. */
  accept(batch: string, lines: number): void {
    Atomics.sub(this.#gate, 0, batch.length);
    this.#meter.count(this.#target.write(batch) ? 'audit.written' : 'audit.dropped', lines);
  }

  close(): Promise<void> {
    return this.#target.close();
  }
}
