import type { RegistryBytes } from '../../telemetry/status.ts';
import { REGISTRIES_COUNTED_MAX } from '../limits.ts';
import type { Tally } from './pull-record.ts';

/** What clients got of each registry; those past the first REGISTRIES_COUNTED_MAX are one. */
export class RegistryTally {
  readonly #registries = new Map<string, RegistryBytes>();

  /** A read of `host` has ended. */
  add(host: string, { bytes, sources }: Pick<Tally, 'bytes' | 'sources'>): void {
    const isCounted = this.#registries.has(host) || this.#registries.size < REGISTRIES_COUNTED_MAX;
    const registry = isCounted ? host : 'other';
    const known = this.#registries.get(registry) ?? { registry, bytes: 0, savedBytes: 0 };
    known.bytes += bytes;
    known.savedBytes += bytes - sources.origin;
    this.#registries.set(registry, known);
  }

  list(): RegistryBytes[] {
    return [...this.#registries.values()];
  }
}
