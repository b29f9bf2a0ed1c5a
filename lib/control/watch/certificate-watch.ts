import type { Clock, Timer } from '../../clock.ts';
import { CERTIFICATE_LOOK_MS } from '../limits.ts';

interface CertificateWatchParts {
  clock: Clock;
  /** The current certificate and its key, PEM, renewed if that is due. */
  read(): Promise<string>;
  /** The certificate has changed. */
  changed(): void;
  failed(error: Error): void;
}

/**
 * Renews the node's own certificate before it expires, and loads a configured one again when its
 * files change.
 */
export class CertificateWatch {
  readonly #parts: CertificateWatchParts;
  #known: string;
  #timer: Timer;

  /** `known`: the certificate in use now. */
  constructor(parts: CertificateWatchParts, known: string) {
    this.#parts = parts;
    this.#known = known;
    this.#timer = this.#arm();
  }

  close(): void {
    this.#timer.cancel();
    this.#timer = { cancel: () => undefined };
  }

  #arm(): Timer {
    const timer = this.#parts.clock.after(CERTIFICATE_LOOK_MS, () => void this.#look(timer));
    return timer;
  }

  async #look(timer: Timer): Promise<void> {
    try {
      const now = await this.#parts.read();
      if (this.#timer !== timer) return;
      if (now !== this.#known) this.#parts.changed();
      this.#known = now;
    } catch (thrown) {
      // The old one stays in use until the next check.
      this.#parts.failed(thrown as Error);
    }
    if (this.#timer === timer) this.#timer = this.#arm();
  }
}
