import type { Clock, Timer } from '../../clock.ts';
import type { ShoalError, WireError } from '../../errors.ts';
import { HOLD_SHARDS_AT_ONCE, PEER_RETURN_MS } from '../limits.ts';
import { PEER_HOLD_MS } from '../../limits.ts';
import { shardCount } from '../../shard.ts';
import type { Holding } from '../../wire/fetch.ts';
import type { OriginTarget } from '../../origin-target.ts';
import { digestNamedBy } from '../../registry/identity.ts';
import { splitUrl } from '../../registry/url.ts';
import type { Span } from '../../span.ts';
import type { ShardLoader } from './loader.ts';
import type { Interest, Resident } from './resident.ts';

/**
 * Preheating: brings whole blobs to this node before a client reads them. Each call starts the
 * first missing shards, waits for them briefly and reports the progress; the caller repeats the
 * call until the blob is whole. No state is kept between calls.
 */
export class Holdings {
  readonly #loader: ShardLoader;
  readonly #clock: Clock;
  #underWay = 0;

  constructor(loader: ShardLoader, clock: Clock) {
    this.#loader = loader;
    this.#clock = clock;
  }

  /** Resolves within PEER_HOLD_MS. `origin` null: only the swarm is asked. */
  async hold(
    key: string,
    totalBytes: number,
    origin: OriginTarget | null,
    requestId: string,
    span?: Span,
  ): Promise<Holding> {
    const shards = shardCount(totalBytes);
    const missing: number[] = [];
    for (
      let shard = 0;
      shard < shards && missing.length < HOLD_SHARDS_AT_ONCE - this.#underWay;
      shard++
    )
      if (!this.#loader.has(key, shard)) missing.push(shard);
    const options = {
      origin,
      sliceBytes: null,
      digest: digestOf(key, origin),
      requestId,
      ...(span === undefined ? {} : { span }),
      onBehalf: null,
    };
    let error: WireError | null = null;
    await this.#settled(
      missing,
      (shard, interest) => this.#loader.want(key, shard, options, interest),
      (failed) => (error = failed.toWire()),
    );
    // Not counted shard by shard: another node named the size, and a false one must not keep this
    // thread busy.
    return { shards, held: Math.min(shards, this.#loader.countOf(key)), error };
  }

  /**
   * Resolves when all of `shards` have completed or failed, or after PEER_HOLD_MS. Shards still
   * under way are then dropped unless they are wanted again soon.
   */
  #settled(
    shards: readonly number[],
    want: (shard: number, interest: Interest) => Resident,
    failed: (error: ShoalError) => void,
  ): Promise<void> {
    return new Promise((resolve) => {
      const waiting = new Map<number, { resident: Resident; interest: Interest }>();
      let timer: Timer | null = null;
      const over = (shard: number, graceMs = 0): void => {
        const held = waiting.get(shard);
        if (held === undefined) return;
        waiting.delete(shard);
        // No reader needs it soon: its slot may be evicted before others.
        this.#loader.drop(held.resident, held.interest, graceMs);
        this.#underWay -= 1;
        if (waiting.size > 0) return;
        timer?.cancel();
        resolve();
      };
      for (const shard of shards) {
        const interest: Interest = {
          placed: () => undefined,
          complete: () => over(shard),
          failed(error) {
            failed(error);
            over(shard);
          },
        };
        const resident = want(shard, interest);
        // It was already complete.
        if (resident.phase === 'complete') continue;
        this.#underWay += 1;
        waiting.set(shard, { resident, interest });
      }
      if (waiting.size === 0) {
        resolve();
        return;
      }
      timer = this.#clock.after(PEER_HOLD_MS, () => {
        for (const shard of waiting.keys()) over(shard, PEER_RETURN_MS);
      });
    });
  }
}

/** The digest of the blob under `key`, by the key or by the URL that `origin` has. */
export function digestOf(key: string, origin: OriginTarget | null): string | null {
  if (key.startsWith('sha256:')) return key;
  return origin === null ? null : (digestNamedBy(splitUrl(origin.url).path) ?? null);
}
