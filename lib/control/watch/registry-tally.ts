import type { RegistryBytes } from '../../telemetry/status.ts';
import { REGISTRIES_COUNTED_MAX } from '../limits.ts';
import type { Tally } from './pull-record.ts';

/** What clients got of each registry; those past the first REGISTRIES_COUNTED_MAX are one. */
export class RegistryTally {
  readonly #registries = new Map<string, RegistryBytes>();

  /**
   * Lists a configured registry before its first read: Prometheus takes the first value of a series
   * for its beginning, so what a first pull saves would be missing.
   */
  expect(host: string): void {
    this.add(host, { bytes: 0, sources: { memory: 0, disk: 0, runtime: 0, peer: 0, origin: 0 } });
  }

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
