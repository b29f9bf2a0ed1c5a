import type { Clock, Timer } from '../../clock.ts';
import { OFFER_REFRESH_MS, OFFERS_MAX } from '../../swarm/limits.ts';
import { OfferBook } from '../../swarm/offer-book.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import { formatOffers, OFFERS_PATH } from '../../wire/holders.ts';
import { OFFERS_PER_MESSAGE_MAX } from '../../wire/limits.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { CallOptions } from './calls.ts';
import { OFFER_DEADLINE_MS, OFFER_PAUSE_MS, OFFER_RETRY_MS, OFFERS_AT_ONCE } from './limits.ts';

interface OfferParts {
  self: string;
  clock: Clock;
  random(): number;
  /** Blobs that this node has whole and verified, by key, with their sizes. */
  blobs(): Iterable<[key: string, totalBytes: number]>;
  /** The first nodes in the rank of a blob. */
  ranked(key: string): readonly string[];
  /** This node is a keeper itself. */
  kept(keys: readonly string[]): void;
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult>;
  count(name: CounterName): void;
}

/** Tells keepers which blobs this node has whole: soon after a change, and again now and then. */
export class Offers {
  readonly #parts: OfferParts;
  readonly #book = new OfferBook();
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #telling = false;
  /** There was a change while offers were being sent. */
  #changed = false;
  #closed = false;

  constructor(parts: OfferParts) {
    this.#parts = parts;
  }

  /** There are other blobs to offer, or other nodes to tell. */
  changed(): void {
    if (this.#telling) this.#changed = true;
    // A whole cluster that starts at once does not tell at once.
    else this.#at(OFFER_PAUSE_MS * (1 + this.#parts.random()));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #at(afterMs: number): void {
    const dueMs = this.#parts.clock.nowMs() + afterMs;
    if (this.#closed || dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#parts.clock.after(afterMs, () => void this.#tell());
  }

  async #tell(): Promise<void> {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#telling = true;
    this.#changed = false;
    const isAllTold = await this.#tellAll();
    this.#telling = false;
    this.#at(isAllTold ? OFFER_REFRESH_MS / 4 : OFFER_RETRY_MS);
    if (this.#changed) this.changed();
  }

  async #tellAll(): Promise<boolean> {
    const { self, clock, ranked, kept } = this.#parts;
    const due = this.#book.due(this.#largest(), ranked, clock.nowMs());
    const own = due.get(self) ?? [];
    kept(own);
    this.#book.told(self, own, clock.nowMs());
    due.delete(self);
    const keepers = due.entries();
    let isAllTold = true;
    const next = async (): Promise<void> => {
      for (const [keeper, keys] of keepers)
        if (!(await this.#tellOne(keeper, keys))) isAllTold = false;
    };
    await Promise.all(Array.from({ length: OFFERS_AT_ONCE }, next));
    return isAllTold;
  }

  async #tellOne(keeper: string, keys: readonly string[]): Promise<boolean> {
    const { self, clock, call, count } = this.#parts;
    for (let at = 0; at < keys.length && !this.#closed; at += OFFERS_PER_MESSAGE_MAX) {
      const some = keys.slice(at, at + OFFERS_PER_MESSAGE_MAX);
      const words = formatOffers({ node: self, keys: some });
      const result = await call(keeper, OFFERS_PATH, { deadlineMs: OFFER_DEADLINE_MS, words });
      const isTold = result.kind === 'answer' && result.status === 200;
      count(isTold ? 'holders.told' : 'holders.untold');
      if (!isTold) return false;
      this.#book.told(keeper, some, clock.nowMs());
    }
    return true;
  }

  #largest(): string[] {
    const blobs = [...this.#parts.blobs()];
    if (blobs.length > OFFERS_MAX) blobs.sort(([, a], [, b]) => b - a).length = OFFERS_MAX;
    return blobs.map(([key]) => key);
  }
}
