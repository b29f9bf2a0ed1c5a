import type { Clock, Timer } from '../clock.ts';
import type { KeptBlob } from './kept-blob.ts';
import {
  RUNTIME_CROWDED_PATIENCE_MS,
  RUNTIME_MEMORY_SHARE_MAX,
  RUNTIME_PATIENCE_MS,
  RUNTIME_POLL_MS,
} from './limits.ts';

/**
 * Shards that stay in memory until the runtime has written them. Their ingests are looked at as
 * long as they grow; the number of shards is bounded by a share of memory.
 */
export class IngestWatch {
  readonly #clock: Clock;
  readonly #slotCount: number;
  readonly #isCrowded: () => boolean;
  readonly #look: (blob: KeptBlob) => Promise<void>;
  readonly #awaited = new Set<KeptBlob>();
  #timer: Timer | null = null;

  /** `look` tells a blob how far its file is, and never rejects. */
  constructor(
    { clock, slotCount, isCrowded }: { clock: Clock; slotCount: number; isCrowded(): boolean },
    look: (blob: KeptBlob) => Promise<void>,
  ) {
    this.#clock = clock;
    this.#slotCount = slotCount;
    this.#isCrowded = isCrowded;
    this.#look = look;
  }

  /** Resolves true when the ingest covers the shard, false when it stalls or memory is short. */
  written(blob: KeptBlob, shard: number): Promise<boolean> {
    let waiting = 0;
    for (const { waiting: count } of this.#awaited) waiting += count;
    if (waiting >= this.#slotCount * RUNTIME_MEMORY_SHARE_MAX) return Promise.resolve(false);
    if (blob.waiting === 0) blob.grownMs = this.#clock.nowMs();
    const written = blob.wait(shard);
    const isIdle = this.#awaited.size === 0;
    this.#awaited.add(blob);
    if (isIdle) this.#arm();
    return written;
  }

  close(): void {
    this.#timer?.cancel();
    for (const blob of this.#awaited) blob.giveUp();
    this.#awaited.clear();
  }

  #arm(): void {
    this.#timer = this.#clock.after(RUNTIME_POLL_MS, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    await Promise.all([...this.#awaited].map((blob) => this.#look(blob)));
    const patienceMs = this.#isCrowded() ? RUNTIME_CROWDED_PATIENCE_MS : RUNTIME_PATIENCE_MS;
    for (const blob of this.#awaited) {
      if (this.#clock.nowMs() - blob.grownMs >= patienceMs) blob.giveUp();
      if (blob.waiting === 0) this.#awaited.delete(blob);
    }
    if (this.#awaited.size > 0) this.#arm();
  }
}
