import { FetchParts } from './fetch-parts.ts';
import type { FetchOptions, FetchShared, Phase } from './fetch-shared.ts';
import type { FetchSteps } from './fetch-steps.ts';
import { withoutOrigin } from './origin-tries.ts';
import { Outcomes } from './outcomes.ts';
import { Patience } from './patience.ts';
import { Verification } from './verification.ts';
import type {
  AskRole,
  AttemptResult,
  Fetch,
  OriginRef,
  FetchResult,
  NodeId,
  ShardId,
  StatResult,
} from './types.ts';

/**
 * How one node gets one shard, whatever happens to those it gets it from.
 *
 *   new -> reading <-> leaving
 *            |  ^        |
 *            v  |        v
 *          waiting <-----+
 *            |
 *            v  all bytes are here
 *         checking -> over
 *
 * - reading: from the origin, a root, the owner or a parent it named; always from the byte after
 *   the last that arrived.
 * - leaving: a late or silent sender; ends as soon as it writes no more.
 * - waiting: told "busy", or between tries at the origin.
 * - checking: the owner's checksum is asked for, if it did not come along. If it is another, the
 *   shard is read anew, at most CORRUPTIONS_MAX times (verification.ts).
 *
 * What each answer leads to is in outcomes.ts.
 *
 * Where to: an agent asks the shard's owner, the first usable in rank; the owner (or an agent for
 * which no other is left) asks a holder of the whole blob, else the shard's root, the first usable
 * in rank, or where there is none the origin. Asks as owner go to a better rank than one's own, so
 * they cannot go in a circle; past an owner that left the shard they end at a root (askedAsOwner).
 * See docs/SWARM.md.
 */
export class ShardFetch implements Fetch {
  readonly shard: ShardId;
  place: unknown = undefined;
  /** Hops of the request that made this node fetch; its own requests carry one more. */
  readonly #hops: number;
  readonly #shared: FetchShared;
  readonly #parts: FetchParts;
  readonly #patience: Patience;
  readonly #verification: Verification;
  readonly #outcomes: Outcomes;
  #phase: Phase = 'new';
  #dueMs = 0;
  /** What to finish with once the attempt has ended. */
  #closing: FetchResult | null = null;

  constructor(shared: FetchShared, shard: ShardId, options: FetchOptions) {
    this.shard = shard;
    this.#shared = shared;
    this.#hops = options.hops;
    this.#parts = new FetchParts(this, shared, options.holders);
    const { origin } = this.#parts;
    const steps: FetchSteps = {
      go: () => this.#go(),
      readParent: (node) => this.#read(node, 'parent'),
      wait: (ms) => this.#wait(ms),
      pause: (ms) => this.#pause(ms),
      checking: () => void (this.#phase = 'checking'),
      passOver: (node, role, late) => this.#passOver(node, role, late),
      close: (result) => this.#close(result),
    };
    this.#patience = new Patience(this.#parts, () => options.hops === 0 && !origin.isEmpty);
    this.#verification = new Verification(this.#parts, this.#patience, steps);
    this.#outcomes = new Outcomes(this.#parts, this.#patience, this.#verification, steps);
    if (options.isYielded) this.#parts.sources.yield();
    for (const node of options.passed) this.#parts.sources.passOver(node);
    if (options.origin !== null) this.#parts.origin.offer(options.origin);
  }

  /** The node that sends the bytes now; null: the origin, or no attempt. */
  get source(): NodeId | null {
    return this.#parts.attempts.node;
  }

  /** Begins; the swarm calls it once. */
  begin(): void {
    if (this.#phase === 'new') this.#go();
  }

  /** Another origin of the shard, tried before the older ones. */
  offer(origin: OriginRef): void {
    this.#parts.origin.offer(origin);
  }

  /** Another node asks this one as owner and names better-ranked ones; see Sources.accuse. */
  accuse(by: NodeId, accused: readonly NodeId[]): void {
    const { role, sinceMs, fromBytes } = this.#parts.attempts;
    if (
      !this.#parts.sources.accuse(by, accused) ||
      this.#phase !== 'reading' ||
      (role !== 'owner' && role !== 'parent')
    )
      return;
    const { progress, lateness } = this.#parts;
    progress.grew(this.#shared.effects.receivedBytes(this));
    // Whatever this node waits for comes, if at all, from the accused.
    if (lateness.isLate('parent', sinceMs) || progress.receivedBytes === fromBytes) this.#abandon();
  }

  /**
   * A node asks this one as owner, and there is a root. Returns whether this one leaves the shard
   * to the next owner in rank. It does from now on if the node that asks is `muchFaster`, unless
   * too much of it has come. Otherwise it reads the shard as an owner does.
   */
  askedAsOwner(muchFaster: boolean): boolean {
    const { sources } = this.#parts;
    if (muchFaster && this.#phase === 'reading' && this.#parts.mayYield(this.#hops)) {
      sources.yield();
      this.#abandon();
    }
    if (!sources.isYielded) this.#readAsOwner();
    return sources.isYielded;
  }

  /**
   * Leaves a parent that has sent nothing. It belongs to another owner's tree, and may wait, over
   * others, for the node that asks this one as owner: then all would wait for each other.
   */
  #readAsOwner(): void {
    const { attempts, progress, sources } = this.#parts;
    if (this.#phase !== 'reading' || attempts.role !== 'parent') return;
    progress.grew(this.#shared.effects.receivedBytes(this));
    if (progress.sentBytes > 0) return;
    sources.turnToRoots();
    this.#abandon();
  }

  /** This node reads the whole blob: it stops waiting for another node. */
  turnToWhole(): boolean {
    if (this.shard.rankedAs === 0 || this.source === null) return false;
    this.shard.rankedAs = 0;
    if (this.#phase === 'reading') this.#abandon();
    return true;
  }

  /** `node` is gone: asks other nodes for what it was to send. */
  lost(node: NodeId): void {
    if (this.#phase !== 'reading' || this.source !== node) return;
    this.#parts.sources.leave(node, this.#parts.attempts.role);
    this.#parts.parentFailed = this.#parts.attempts.role === 'parent';
    this.#abandon();
  }

  /** The shard is no longer wanted. `finished` fires after the last write. */
  cancel(): void {
    this.#close({ kind: 'cancelled' });
  }

  /** Looks at the clock: lateness, waits that are over, the end of patience. */
  tick(): void {
    const nowMs = this.#shared.nowMs();
    if (this.#phase === 'over' || this.#closing !== null) return;
    if (this.#phase === 'reading') this.#watch(nowMs);
    else if (this.#phase === 'checking' && this.#parts.integrity.data !== null)
      this.#verification.watch(this.source!);
    this.#lookAtPatience();
    if (this.#phase === 'waiting' && nowMs >= this.#dueMs) this.#go();
  }

  /** Attempt `attempt` has ended; nothing of it writes any more. Other ends are ignored. */
  settle(attempt: number, result: AttemptResult): void {
    if (
      !this.#parts.attempts.isCurrent(attempt) ||
      (this.#phase !== 'reading' && this.#phase !== 'leaving')
    )
      return;
    const left = this.#phase === 'leaving';
    this.#phase = 'between';
    const node = this.#parts.ended(result);
    if (this.#closing !== null) this.#finish(this.#closing);
    else if (result.kind === 'data') this.#verification.whole(result, node);
    else if (left) this.#go();
    else this.#outcomes.settle(node, result);
  }

  /** The stat asked for as `attempt` has ended. */
  settleStat(attempt: number, result: StatResult): void {
    if (this.#parts.attempts.isCurrent(attempt) && this.#phase === 'checking')
      this.#verification.settle(this.source!, result);
  }

  #go(): void {
    const { node, role } = this.#parts.sources.next();
    const { data, provenance, statMissed } = this.#parts.integrity;
    if (data !== null && node !== null && !statMissed) {
      this.#verification.stat(node, provenance.lastPeer, 'done');
      return;
    }
    // Only an owner or a root has the checksum to verify the bytes of peers; the origin has none.
    if (node === null && provenance.originBytes < this.#parts.progress.fromBytes)
      this.#verification.restart(provenance.originBytes);
    else if (node === null && data !== null) this.#verification.restart(0);
    if (node === null) this.#readOrigin();
    else this.#read(node, role);
  }

  #read(node: NodeId, role: AskRole): void {
    this.#phase = 'reading';
    if (role === 'parent') this.#parts.parentFailed = false;
    this.#shared.health.asked(node, this.#shared.nowMs());
    this.#parts.attempts.read(node, role, {
      fromBytes: this.#parts.progress.fromBytes,
      exclude: this.#parts.sources.exclude(role),
      hops: this.#hops,
      trusted: role !== 'parent' && this.#parts.integrity.provenance.allTrusted,
      ...(role === 'parent' && this.#shared.caution.isOn(this.#shared.nowMs())
        ? { checked: true }
        : {}),
      ...(role === 'owner' && this.#parts.parentFailed ? { parentFailed: true } : {}),
      ...this.#parts.waitsFor(node, role),
      origin: role === 'parent' || role === 'holder' ? null : this.#parts.origin.use(),
    });
  }

  #readOrigin(): void {
    const origin = this.#parts.origin.use();
    if (origin === null)
      return this.#close({ kind: 'failed', error: withoutOrigin(this.#parts.lastError) });
    this.#phase = 'reading';
    this.#parts.origin.begun();
    this.#parts.attempts.origin(
      this.#parts.progress.fromBytes,
      this.#shared.membership().byNode.size === 1,
      origin,
    );
  }

  #wait(ms: number): void {
    // The other side has let time pass already when it says "at once".
    if (ms <= 1 && this.#shared.nowMs() > this.#parts.attempts.sinceMs) this.#go();
    else this.#pause(ms * (0.75 + 0.5 * this.#shared.random()));
  }

  #pause(ms: number): void {
    this.#phase = 'waiting';
    this.#dueMs = this.#shared.nowMs() + ms;
  }

  /** Not from this node again: a parent is excluded, an owner or root passed over in this fetch. */
  #passOver(node: NodeId, role: AskRole | 'origin', late = false): void {
    if (role === 'parent') this.#parts.sources.shun(node);
    else {
      this.#parts.sources.passOver(node, late);
      this.#parts.progress.ownerChanged();
      this.#shared.observe('owner-changed', node);
    }
    this.#go();
  }

  #lookAtPatience(): void {
    // A read of the origin has deadlines of its own, and its turn there to wait for.
    if (this.#phase === 'reading' && this.#parts.attempts.role === 'origin') return;
    const then = this.#patience.look();
    if (then === 'wait') return;
    if (then !== 'elsewhere') this.#close({ kind: 'failed', error: this.#parts.lastError ?? then });
    else if (this.#phase === 'reading') this.#abandon();
    else if (this.#phase !== 'leaving') this.#go();
  }

  /** Leaves a peer that takes far longer than shards do lately, or that hardly sends. */
  #watch(nowMs: number): void {
    this.#parts.progress.grew(this.#shared.effects.receivedBytes(this));
    const { node, role, askedMs } = this.#parts.attempts;
    if (node === null) return;
    const { lateness } = this.#parts;
    if (!lateness.isOver(node, role, askedMs)) {
      if (!lateness.isTrickle(node, role)) return;
      this.#shared.health.failed(node, nowMs);
    }
    if (role === 'parent') lateness.leftParent();
    this.#shared.observe('slow', node);
    if (role !== 'parent') this.#shared.health.slow(node, nowMs);
    this.#parts.sources.leave(node, role, true);
    this.#abandon();
  }

  #abandon(): void {
    this.#phase = 'leaving';
    this.#parts.attempts.abandon();
  }

  #close(result: FetchResult): void {
    if (this.#phase === 'over' || this.#closing !== null) return;
    if (this.#phase === 'reading' || this.#phase === 'leaving') {
      this.#closing = result;
      if (this.#phase === 'reading') this.#abandon();
    } else this.#finish(result);
  }

  #finish(result: FetchResult): void {
    this.#phase = 'over';
    this.#parts.attempts.node = null;
    this.#shared.over(this, result);
  }
}
