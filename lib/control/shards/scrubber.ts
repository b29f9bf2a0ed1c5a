import type { CacheStore } from '../../cache/store.ts';
import type { Clock, Timer } from '../../clock.ts';
import type { Arena } from '../../io/arena.ts';
import { SCRUB_INTERVAL_MS_MIN, SCRUB_ROUND_MS } from '../limits.ts';
import type { Residency } from './residency.ts';

interface ScrubberParts {
  clock: Clock;
  arena: Arena;
  residency: Pick<Residency, 'acquire' | 'discard' | 'waiting'>;
  store: Pick<CacheStore, 'scrub' | 'stats'>;
  /** A shard on disk was checked. */
  scrubbed(outcome: 'ok' | 'miss'): void;
}

/**
 * Checks the shards on disk one by one in the background, each about once in SCRUB_ROUND_MS. A
 * corrupt shard is dropped before a client needs it. Everything else goes first: a shard is read
 * only while the disk is idle and no request waits for memory.
 */
export class Scrubber {
  readonly #parts: ScrubberParts;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(parts: ScrubberParts) {
    this.#parts = parts;
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#isClosed) return;
    const entries = Math.max(1, this.#parts.store.stats().entries);
    const intervalMs = Math.max(SCRUB_INTERVAL_MS_MIN, SCRUB_ROUND_MS / (entries + 1));
    this.#timer = this.#parts.clock.after(Math.min(intervalMs, SCRUB_ROUND_MS / 1_000), () => {
      void this.#scrub().then(() => this.#arm());
    });
  }

  async #scrub(): Promise<void> {
    const { arena, residency, store, scrubbed } = this.#parts;
    if (residency.waiting > 0 || store.stats().entries === 0) return;
    // Rejects when memory is short: then there are better uses for a slot.
    const slot = await residency.acquire().catch(() => null);
    if (slot === null) return;
    arena.begin(slot);
    const outcome = await store.scrub(slot);
    residency.discard(slot);
    if (outcome !== 'idle') scrubbed(outcome);
  }
}
