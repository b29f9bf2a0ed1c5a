import type { WireError } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import { Attempts } from './attempts.ts';
import type { FetchShared } from './fetch-shared.ts';
import { Integrity } from './integrity.ts';
import { Lateness } from './lateness.ts';
import { HOPS_MAX, LOOK_AHEAD_NODES, SILENCE_MS_MAX } from './limits.ts';
import { OriginTries } from './origin-tries.ts';
import { Progress } from './progress.ts';
import { Sources } from './sources.ts';
import type { AskRole, AskWaits, AttemptResult, Fetch, NodeId, ShardId } from './types.ts';

/** What one fetch keeps: its states look at all of it. */
export class FetchParts {
  readonly #fetch: Fetch;
  readonly shared: FetchShared;
  readonly shard: ShardId;
  readonly sources: Sources;
  readonly attempts: Attempts;
  readonly progress: Progress;
  readonly lateness: Lateness;
  readonly integrity: Integrity;
  /** Its credentials, and its budget of tries at the origin. */
  readonly origin: OriginTries;
  /** The last parent has failed: the owner is told, and may name the parent of that node. */
  parentFailed = false;
  /** What the fetch fails with if nothing is left. */
  lastError: WireError | null = null;

  constructor(fetch: Fetch, shared: FetchShared, holders: readonly NodeId[]) {
    const { shard } = fetch;
    this.#fetch = fetch;
    this.shared = shared;
    this.shard = shard;
    this.sources = new Sources(shared, shard, holders);
    this.attempts = new Attempts(fetch, shared);
    this.progress = new Progress(shared.nowMs, {
      received: (bytes, nowMs) => {
        shared.pace.received(bytes, nowMs);
        shared.arrivals.came(shard.key, shard.index, nowMs);
        if (this.attempts.node !== null) shared.soundings.heard(this.attempts.node, nowMs);
      },
    });
    this.lateness = new Lateness(shared, this.sources, this.progress, shard);
    this.integrity = new Integrity(shared, shard);
    this.origin = new OriginTries(shared.random);
  }

  /**
   * How long `node`, asked now, may hold the request, and how much later its answer may come. To
   * blame it wrongly costs a request, but where there is only the origin behind it, a shard there.
   */
  waitsFor(node: NodeId, role: AskRole): AskWaits {
    const { pace } = this.shared;
    const isLast = role !== 'parent' && this.sources.isLast(node);
    return {
      holdMs: pace.holdMs(this.progress.asked(node)),
      silenceMs: isLast ? Math.max(SILENCE_MS_MAX, pace.silenceMs) : pace.silenceMs,
      stallMs: pace.stallMs,
    };
  }

  /**
   * Whether the next owner may take this one's place: this one reads from a root and has at most
   * half of the shard, and a request with `hops` hops may still go on to that owner and the root.
   */
  mayYield(hops: number): boolean {
    const { attempts, progress, shared, sources } = this;
    progress.grew(shared.effects.receivedBytes(this.#fetch));
    return (
      !sources.isYielded &&
      attempts.role === 'root' &&
      hops + 2 <= HOPS_MAX &&
      progress.receivedBytes <= SHARD_BYTES / 2
    );
  }

  /**
   * `node` has failed with `error`: it is not asked for a while. Those behind it may have failed,
   * too.
   */
  hasFailed(node: NodeId, role: AskRole | 'origin', error: WireError): void {
    const { health, nowMs, lookAhead } = this.shared;
    health.failed(node, nowMs());
    // One that is silent may only be slow; whether it is there, soundings find out.
    this.parentFailed = role === 'parent' && error.code !== 'PEER_TIMEOUT';
    if (role === 'owner' || role === 'root') lookAhead(this.sources.ahead(role, LOOK_AHEAD_NODES));
  }

  /** The current attempt has ended: counts its bytes. Returns the node that sent them. */
  ended(result: AttemptResult): NodeId | null {
    const { attempts, progress, integrity } = this;
    const { node } = attempts;
    if (result.kind === 'redirect' || result.kind === 'busy')
      this.shared.pace.answered(attempts.overdueMs);
    progress.grew(
      result.kind === 'data'
        ? result.lengthBytes
        : result.kind === 'failed'
          ? result.receivedBytes
          : progress.fromBytes,
    );
    if (progress.receivedBytes > progress.fromBytes)
      integrity.provenance.add(
        node,
        attempts.isTrusted,
        attempts.isChecked,
        progress.receivedBytes,
      );
    progress.fromBytes = progress.receivedBytes;
    attempts.node = null;
    if (node !== null && result.kind !== 'failed') {
      this.shared.health.answered(node);
      this.shared.soundings.heard(node, this.shared.nowMs());
    }
    return node;
  }
}
