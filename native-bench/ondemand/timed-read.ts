import { PreadConnection } from '../pread/connection.ts';
import type { Target } from '../pread/target.ts';

const READ_BUFFER_BYTES = 256 * 1024;

/** How long one read took, to its first byte of body and to its last, ms. */
interface ReadTimes {
  firstMs: number;
  lastMs: number;
}

/** One kept connection on which reads are timed, one after the other. */
export class TimedReader {
  readonly #connection: PreadConnection;
  #settle: { resolve(times: ReadTimes): void; reject(error: Error): void } | null = null;
  #startMs = 0;
  #firstMs = 0;

  private constructor(
    target: Target,
    holds: (bytes: Buffer, offsetBytes: number) => boolean,
    connected: () => void,
  ) {
    this.#connection = new PreadConnection(target, Buffer.allocUnsafeSlow(READ_BUFFER_BYTES), {
      free: (outcome) => {
        if (outcome === null) return connected();
        const lastMs = performance.now() - this.#startMs;
        if (outcome.ok && outcome.matches)
          this.#settle!.resolve({ firstMs: this.#firstMs, lastMs });
        else this.#settle!.reject(new Error(outcome.ok ? 'wrong bytes' : outcome.problem));
      },
      body: (bytes, offsetBytes) => {
        if (this.#firstMs === 0) this.#firstMs = performance.now() - this.#startMs;
        return holds(bytes, offsetBytes);
      },
      lost: (problem) => this.#settle?.reject(new Error(problem ?? 'the connection was lost')),
    });
  }

  static connect(
    target: Target,
    holds: (bytes: Buffer, offsetBytes: number) => boolean,
  ): Promise<TimedReader> {
    return new Promise((resolve, reject) => {
      const reader: TimedReader = new TimedReader(target, holds, () => resolve(reader));
      reader.#settle = { resolve: () => undefined, reject };
    });
  }

  read(offsetBytes: number, lengthBytes: number): Promise<ReadTimes> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#firstMs = 0;
      this.#startMs = performance.now();
      this.#connection.read(offsetBytes, lengthBytes);
    });
  }

  destroy(): void {
    this.#connection.destroy();
  }
}
