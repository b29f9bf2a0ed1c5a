import { SHARD_BYTES } from '../limits.ts';
import type { Arena } from '../io/arena.ts';
import type { Tier } from '../telemetry/metrics-list.ts';
import type { BlobName } from '../workers/messages.ts';
import type { FirstReads } from './first-reads.ts';
import { emptySummary, type ReadTally } from './read-tally.ts';

/** Tiers by a slot's source word (lib/io/arena.ts). */
export const TIERS = ['disk', 'peer', 'origin', 'runtime'] as const satisfies Tier[];

export interface AccountTools {
  arena: Arena;
  firstReads: FirstReads;
  nowMs: () => number;
  /** Counts the bytes sent without a stream in the control thread. */
  tally: Pick<ReadTally, 'add'>;
  /** `bytes` of a body were sent and count for `tier` (see FirstReads). */
  sent(tier: Tier, bytes: number): void;
  /** The first byte of a body was sent. `tier` is where its shard was found. */
  firstByte(tier: Tier, startMs: number): void;
}

/** Accounts for one answer: the bytes sent by source, and the time waited by cause. */
export class ReadAccount {
  /** For control, when the answer has a stream there. */
  readonly summary = emptySummary();
  sentBytes = 0;
  tier: Tier = 'arena';
  readonly #tools: AccountTools;
  readonly #name: BlobName;
  readonly #authorization: string;
  readonly #startMs: number;
  /** Shards that were not in memory when this answer reached them. */
  readonly #cold = new Set<number>();
  /** This answer was the first to read the page in which its last write ended. */
  #ownsPage = false;

  constructor(tools: AccountTools, name: BlobName, authorization: string, startMs: number) {
    this.#tools = tools;
    this.#name = name;
    this.#authorization = authorization;
    this.#startMs = startMs;
  }

  /** `shard` was not in memory when the answer reached it. */
  cold(shard: number): void {
    this.#cold.add(shard);
  }

  /** The bytes [fromBytes, fromBytes + bytes) of `shard`, from `slot`, were sent. */
  sent(bytes: number, shard: number, fromBytes: number, slot: number, hasStream: boolean): void {
    if (bytes === 0) return;
    const source = TIERS[this.#tools.arena.source(slot)];
    const isCold = this.#cold.has(shard);
    const tier = isCold ? source : 'arena';
    if (this.sentBytes === 0) {
      this.#tools.firstByte(tier, this.#startMs);
      if (isCold) this.#waitedForFirstByte(source);
    }
    if (tier !== 'arena') this.tier = tier;
    const ownsFirst = this.#ownsPage && fromBytes > 0;
    const first = this.#tools.firstReads.take(slot, fromBytes, fromBytes + bytes, ownsFirst);
    this.#ownsPage = first.ownsLast;
    this.sentBytes += bytes;
    this.#count(source, first.bytes, hasStream);
    this.#count('arena', bytes - first.bytes, hasStream);
  }

  /** If the bytes are in memory already, the wait so far was for the access check. */
  waitedForAccess(slot: number, fromBytes: number, turnMs: number): void {
    const { waitedMs } = this.summary;
    waitedMs.turn += turnMs;
    const within = fromBytes % SHARD_BYTES;
    if (this.sentBytes === 0 && this.#tools.arena.sendableTo(slot, within) > within)
      waitedMs.access += Math.max(0, this.#tools.nowMs() - this.#startMs - turnMs);
  }

  waited(cause: 'data' | 'throttle', ms: number, slot: number): void {
    const { waitedMs } = this.summary;
    if (cause === 'throttle') waitedMs.throttle += ms;
    else if (this.sentBytes > 0) waitedMs[causeOf(TIERS[this.#tools.arena.source(slot)])] += ms;
  }

  /** The rest of the time to the first byte was spent waiting for `source`. */
  #waitedForFirstByte(source: (typeof TIERS)[number]): void {
    const { waitedMs } = this.summary;
    const { access, turn, throttle } = waitedMs;
    const passedMs = this.#tools.nowMs() - this.#startMs;
    waitedMs[causeOf(source)] += Math.max(0, passedMs - access - turn - throttle);
  }

  #count(tier: Tier, bytes: number, hasStream: boolean): void {
    if (bytes === 0) return;
    this.#tools.sent(tier, bytes);
    if (hasStream) this.summary.sources[tier] += bytes;
    else this.#tools.tally.add(this.#name, this.#authorization, tier, bytes);
  }
}

/** The runtime's store and the cache are both on disks of this node. */
function causeOf(source: (typeof TIERS)[number]): 'disk' | 'peer' | 'origin' {
  return source === 'runtime' ? 'disk' : source;
}
