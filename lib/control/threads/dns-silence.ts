import { LRUCache } from 'lru-cache';
import type { Clock } from '../../clock.ts';
import { isSilentDns, type WireError } from '../../errors.ts';
import { DNS_SILENCE_FRESH_MS, DNS_SILENCES_MAX } from '../limits.ts';

interface Silence {
  sinceMs: number;
  lastMs: number;
}

/**
 * For how long no name server has answered for a configured registry. Only such names count: a
 * client that names hosts whose name servers are dead says nothing of this node's.
 */
export class DnsSilence {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #silences = new LRUCache<string, Silence>({ max: DNS_SILENCES_MAX });

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** A request to the registry `host` has ended: null, or with this error. */
  note(host: string, error: WireError | null): void {
    if (error === null || !isSilentDns(error)) {
      this.#silences.delete(host);
      return;
    }
    const nowMs = this.#clock.nowMs();
    const sinceMs = this.#silences.get(host)?.sinceMs ?? nowMs;
    this.#silences.set(host, { sinceMs, lastMs: nowMs });
  }

  /** Of the registry that has waited longest, in ms; 0: none, or nobody has asked lately. */
  get ms(): number {
    const nowMs = this.#clock.nowMs();
    let longestMs = 0;
    for (const { sinceMs, lastMs } of this.#silences.values())
      if (nowMs - lastMs < DNS_SILENCE_FRESH_MS) longestMs = Math.max(longestMs, nowMs - sinceMs);
    return longestMs;
  }
}
