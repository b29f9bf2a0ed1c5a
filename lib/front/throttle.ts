import { SHARD_BYTES } from '../limits.ts';
import { THROTTLE_BURST_MS, THROTTLE_STEP_MS, WRITE_STEP_BYTES } from './limits.ts';

const NS_PER_MS = 1_000_000n;

/** A sender that waits for tokens. */
export interface Throttled {
  /** Continues: the sender may take one step now. */
  resume(): void;
}

/**
 * A token bucket shared by all front threads: a virtual clock in shared memory (generic cell rate
 * algorithm, ITU-T I.371 annex A, in nanoseconds of line time) that each sender advances by what it
 * takes. A sender that finds it ahead of real time queues. The queue is served round-robin, one
 * step each, so that connections share the rate. Without a limit nothing is read or written.
 */
export class Throttle {
  readonly shared: SharedArrayBuffer;
  readonly #clock: BigInt64Array;
  /** Nanoseconds of line time per byte, as a fraction of 2^20, to stay in integers. */
  readonly #nsPerMiByte: bigint;
  /** Bytes that a sender may take at once. */
  readonly #stepBytes: number;
  readonly #nowNs: () => bigint;
  readonly #onWaited: (waitedUs: number) => void;
  readonly #queue: { sender: Throttled; sinceNs: bigint }[] = [];
  #armed = false;
  #serving = false;
  /** Steps that the sender being resumed may still take. */
  #turns = 0;

  constructor(
    shared: SharedArrayBuffer,
    limitMBps: number,
    nowNs: () => bigint = () => process.hrtime.bigint(),
    onWaited: (waitedUs: number) => void = () => undefined,
  ) {
    this.#onWaited = onWaited;
    this.shared = shared;
    this.#clock = new BigInt64Array(shared);
    this.#nsPerMiByte =
      limitMBps > 0 ? BigInt(Math.round((1_048_576 * 1e9) / (limitMBps * 1e6))) : 0n;
    this.#stepBytes = Math.min(
      SHARD_BYTES,
      Math.max(WRITE_STEP_BYTES, Math.floor(limitMBps * 1_000 * THROTTLE_STEP_MS)),
    );
    this.#nowNs = nowNs;
  }

  static createShared(): SharedArrayBuffer {
    return new SharedArrayBuffer(8);
  }

  get enabled(): boolean {
    return this.#nsPerMiByte !== 0n;
  }

  /** Bytes that may be sent now: `wantBytes`, or at most one step, or 0 (then call `wait`). */
  take(wantBytes: number): number {
    if (this.#nsPerMiByte === 0n) return wantBytes;
    if (this.#serving ? this.#turns === 0 : this.#queue.length > 0) return 0;
    const bytes = this.#claim(Math.min(wantBytes, this.#stepBytes));
    if (this.#serving && bytes > 0) this.#turns -= 1;
    return bytes;
  }

  /** Returns tokens that were taken and not used. */
  giveBack(bytes: number): void {
    if (this.#nsPerMiByte !== 0n && bytes > 0) Atomics.sub(this.#clock, 0, this.#costNs(bytes));
  }

  /** Queues `sender`, to be resumed in order. */
  wait(sender: Throttled): void {
    this.#queue.push({ sender, sinceNs: this.#nowNs() });
    if (!this.#serving) this.#arm();
  }

  /**
   * Resumes waiting senders in order while there are tokens. Each takes one step and queues again
   * if it wants more.
   */
  #serve(): void {
    this.#armed = false;
    this.#serving = true;
    while (this.#queue.length > 0 && this.#open()) {
      this.#turns = 1;
      const { sender, sinceNs } = this.#queue.shift()!;
      this.#onWaited(Number((this.#nowNs() - sinceNs) / 1000n));
      sender.resume();
    }
    this.#serving = false;
    if (this.#queue.length > 0) this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setTimeout(() => this.#serve(), 1);
  }

  #open(): boolean {
    return Atomics.load(this.#clock, 0) < this.#nowNs();
  }

  #claim(bytes: number): number {
    const burstNs = BigInt(THROTTLE_BURST_MS) * NS_PER_MS;
    for (;;) {
      const nowNs = this.#nowNs();
      const clockNs = Atomics.load(this.#clock, 0);
      if (clockNs >= nowNs) return 0;
      const startNs = clockNs < nowNs - burstNs ? nowNs - burstNs : clockNs;
      if (
        Atomics.compareExchange(this.#clock, 0, clockNs, startNs + this.#costNs(bytes)) === clockNs
      )
        return bytes;
    }
  }

  #costNs(bytes: number): bigint {
    return (BigInt(bytes) * this.#nsPerMiByte) / 1_048_576n;
  }
}
