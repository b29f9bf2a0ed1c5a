import type { WireError } from '../errors.ts';
import { ORIGIN_BACKOFF_MS } from './limits.ts';
import { Attempts } from './attempts.ts';
import type { FetchOptions, FetchShared } from './fetch-shared.ts';
import { Integrity, type Whole } from './integrity.ts';
import { Lateness } from './lateness.ts';
import { type AfterOrigin, OriginTries, wireError } from './origin-tries.ts';
import { Progress } from './progress.ts';
import { Sources } from './sources.ts';
import type {
  AskRole,
  AttemptResult,
  Fetch,
  OriginRef,
  FetchResult,
  NodeId,
  Report,
  ShardId,
  StatResult,
} from './types.ts';

type Phase =
  | 'new'
  /** The attempt has ended, the next step is being found: only within a call. */
  | 'between'
  /** An attempt is under way. */
  | 'reading'
  /** An attempt was told to stop and has not ended yet. */
  | 'leaving'
  /** Nothing is under way until `#dueMs`. */
  | 'waiting'
  /** A stat is under way. */
  | 'checking'
  | 'over';

/**
 * How one node gets one shard, whatever happens to those it gets it from.
 *
 *   new -> reading <-> leaving        reading: from the origin, a root, the owner or a parent it
 * named; always
 *            |  ^        |                     from the byte after the last that arrived
 *            v  |        v            leaving: a late or silent sender; ends as soon as it writes
 * no more
 *          waiting <-----+            waiting: told "busy", or between tries at the origin
 *            |
 *            v  all bytes here
 *         checking -> over (done)     checking: the owner's checksum is asked for, if it did not
 * come along
 *            |
 *            +-- not the owner's checksum: read anew from the trusted part (at most CORRUPTIONS_MAX
 * times)
 *
 * Where to: an agent asks the shard's owner, the first usable in rank; the owner (or an agent for
 * which no other is left) asks a holder of the whole blob, else the shard's root, the first usable
 * in rank, or where there is none the origin. Asks as owner always go to a better rank than one's
 * own, so they cannot go in a circle. See docs/SWARM.md.
 */
export class ShardFetch implements Fetch {
  readonly shard: ShardId;
  place: unknown = undefined;
  /** Hops of the request that made this node fetch; its own requests carry one more. */
  readonly #hops: number;
  readonly #shared: FetchShared;
  readonly #sources: Sources;
  readonly #attempts: Attempts;
  readonly #progress: Progress;
  readonly #lateness: Lateness;
  readonly #integrity: Integrity;
  readonly #origin: OriginTries;
  #phase: Phase = 'new';
  #dueMs = 0;
  /** When the parent that is read from now was first asked. */
  #parentSinceMs = 0;
  /** The owner asked last. */
  #owner: NodeId | null = null;
  #lastError: WireError | null = null;
  /** What to finish with once the attempt has ended. */
  #closing: FetchResult | null = null;

  constructor(shared: FetchShared, shard: ShardId, options: FetchOptions) {
    this.shard = shard;
    this.#shared = shared;
    this.#hops = options.hops;
    this.#sources = new Sources(shared, shard, options.holders);
    this.#attempts = new Attempts(this, shared);
    this.#progress = new Progress(shared.nowMs, shared.pace);
    this.#lateness = new Lateness(shared, this.#sources, shard.index);
    this.#integrity = new Integrity(shared, shard);
    this.#origin = new OriginTries(shared.random);
    for (const node of options.passed) this.#sources.passOver(node);
    if (options.origin !== null) this.#origin.offer(options.origin);
  }

  /** The node the bytes come from now; null: the origin, or nobody. */
  get source(): NodeId | null {
    return this.#attempts.node;
  }

  /** Begins. Called once, by the swarm, when the driver knows the fetch. */
  begin(): void {
    if (this.#phase === 'new') this.#go();
  }

  /** Another origin of the shard, tried before the older ones. */
  offer(origin: OriginRef): void {
    this.#origin.offer(origin);
  }

  /**
   * Another node asks this one as owner, although there are better-ranked ones, which it names; see
   * Sources.accuse.
   */
  accuse(by: NodeId, accused: readonly NodeId[]): void {
    const { role, sinceMs, fromBytes } = this.#attempts;
    if (
      !this.#sources.accuse(by, accused) ||
      this.#phase !== 'reading' ||
      (role !== 'owner' && role !== 'parent')
    )
      return;
    this.#progress.grew(this.#shared.effects.receivedBytes(this));
    // Whatever this node waits for comes, if at all, from the accused.
    if (this.#lateness.isLate('parent', sinceMs) || this.#progress.receivedBytes === fromBytes)
      this.#abandon();
  }

  /** Nobody wants it any more; `finished` is told once nothing writes. */
  cancel(): void {
    this.#close({ kind: 'cancelled' });
  }

  /** Looks at the clock: lateness, waits that are over, the end of patience. */
  tick(): void {
    const nowMs = this.#shared.nowMs();
    if (this.#phase === 'over' || this.#closing !== null) return;
    if (this.#phase === 'reading') this.#watch(nowMs);
    else if (this.#phase === 'checking' && this.#integrity.data !== null)
      this.#watchStat(nowMs, this.source!);
    // A read of the origin has deadlines of its own, and its turn there to wait for.
    const isAtOrigin = this.#phase === 'reading' && this.#attempts.role === 'origin';
    if (!isAtOrigin && nowMs - this.#progress.grownMs > this.#shared.pace.giveUpMs) {
      this.#shared.observe('gave-up', this.source);
      this.#close({
        kind: 'failed',
        error:
          this.#lastError ??
          wireError(
            'PEER_TIMEOUT',
            `no byte of shard ${this.shard.index} for too long, from anybody`,
          ),
      });
    } else if (this.#phase === 'waiting' && nowMs >= this.#dueMs) this.#go();
  }

  /**
   * Attempt `attempt` has ended; nothing of it writes any more. Ends of other attempts are ignored.
   */
  settle(attempt: number, result: AttemptResult): void {
    if (
      !this.#attempts.isCurrent(attempt) ||
      (this.#phase !== 'reading' && this.#phase !== 'leaving')
    )
      return;
    const left = this.#phase === 'leaving';
    this.#phase = 'between';
    const node = this.source;
    const progress = this.#progress;
    progress.grew(
      result.kind === 'data'
        ? result.lengthBytes
        : result.kind === 'failed'
          ? result.receivedBytes
          : progress.fromBytes,
    );
    if (progress.receivedBytes > progress.fromBytes)
      this.#integrity.provenance.add(node, this.#attempts.isTrusted, progress.receivedBytes);
    progress.fromBytes = progress.receivedBytes;
    this.#attempts.node = null;
    if (node !== null && result.kind !== 'failed') this.#shared.health.answered(node);
    if (this.#closing !== null) this.#finish(this.#closing);
    else if (result.kind === 'data') this.#whole(result, node);
    else if (left) this.#go();
    else if (node === null) this.#originEnded(result);
    else if (result.kind === 'redirect') this.#redirected(node, result);
    else if (result.kind === 'busy') this.#busy(node, result.retryMs);
    else if (result.kind === 'miss') this.#passOver(node);
    else if (result.kind === 'refused') this.#refused(node, result.error);
    else this.#failed(node, result.error);
  }

  /** The stat asked for as `attempt` has ended. */
  settleStat(attempt: number, result: StatResult): void {
    if (!this.#attempts.isCurrent(attempt) || this.#phase !== 'checking') return;
    const node = this.source!;
    const { data } = this.#integrity;
    this.#attempts.node = null;
    if (data === null) this.#go();
    else if (result.kind === 'stat') {
      this.#shared.health.succeeded(node);
      this.#integrity.said(result.checksum, result.totalBytes);
      this.#compare(data);
    } else if (result.kind === 'busy') {
      if (this.#lateness.isOver(node, 'owner', this.#progress.ownerMs))
        this.#passOver(node, 'owner', true);
      else this.#wait(result.retryMs);
    } else if (result.kind === 'miss') {
      if (!this.#integrity.missed(node)) return this.#go();
      // It sends bytes again and again, and never says what they are.
      this.#shared.health.failed(node, this.#shared.nowMs());
      this.#passOver(node, 'owner');
    } else if (result.kind === 'refused') this.#passOver(node, 'owner');
    else if (this.#isForgiven(node, result.error, this.#sources.isLast(node))) this.#go();
    else {
      this.#shared.health.failed(node, this.#shared.nowMs());
      this.#lastError = result.error;
      this.#passOver(node, 'owner');
    }
  }

  // --- what next ---

  #go(): void {
    const { node, role } = this.#sources.next();
    const { data, provenance, statMissed } = this.#integrity;
    if (data !== null && node !== null && !statMissed) {
      this.#stat(node, provenance.lastPeer, 'done');
      return;
    }
    // Only the checksum of an owner or a root can verify what peers sent; the origin has none.
    if (node === null && provenance.originBytes < this.#progress.fromBytes)
      this.#restart(provenance.originBytes);
    else if (node === null && data !== null) this.#restart(0);
    if (node === null) this.#readOrigin();
    else this.#read(node, role);
  }

  #read(node: NodeId, role: AskRole): void {
    this.#phase = 'reading';
    if (role === 'owner') this.#owner = node;
    if (role !== 'parent' || this.#attempts.lastNode !== node)
      this.#parentSinceMs = this.#shared.nowMs();
    this.#shared.health.asked(node, this.#shared.nowMs());
    this.#attempts.read(node, role, {
      fromBytes: this.#progress.fromBytes,
      exclude: this.#sources.exclude(role),
      hops: this.#hops,
      trusted: role !== 'parent' && this.#integrity.provenance.allTrusted,
      holdMs: this.#shared.pace.holdMs,
      origin: role === 'parent' || role === 'holder' ? null : this.#origin.use(),
    });
  }

  #readOrigin(): void {
    const origin = this.#origin.use();
    if (origin === null) {
      this.#close({
        kind: 'failed',
        error:
          this.#lastError ??
          wireError('ORIGIN_UNREACHABLE', 'no node answers, and no client named the origin'),
      });
      return;
    }
    this.#phase = 'reading';
    this.#origin.begun();
    this.#attempts.origin(
      this.#progress.fromBytes,
      this.#shared.membership().byNode.size === 1,
      origin,
    );
  }

  #stat(node: NodeId, parent: NodeId | null, report: Report): void {
    this.#phase = 'checking';
    this.#attempts.stat(node, parent, report);
  }

  #wait(ms: number): void {
    // The other side has let time pass already when it says "at once".
    if (ms <= 1 && this.#shared.nowMs() > this.#attempts.sinceMs) this.#go();
    else this.#waitFor(ms * (0.75 + 0.5 * this.#shared.random()));
  }

  #waitFor(ms: number): void {
    this.#phase = 'waiting';
    this.#dueMs = this.#shared.nowMs() + ms;
  }

  // --- how attempts end ---

  #originEnded(result: AttemptResult): void {
    const error =
      result.kind === 'failed' || result.kind === 'refused'
        ? result.error
        : wireError('INTERNAL', 'the origin was read, and a peer answered');
    this.#lastError = error;
    this.#afterOrigin(this.#origin.failed(error, this.#shared.nowMs() - this.#progress.grownMs));
  }

  #afterOrigin(then: AfterOrigin): void {
    if (then.kind === 'end') this.#close(then.result);
    else if (then.kind === 'again') {
      this.#sources.turnBack();
      this.#go();
    } else {
      this.#shared.observe('origin-retry', null);
      if (then.anew) this.#restart(0);
      this.#waitFor(then.ms);
    }
  }

  #redirected(
    node: NodeId,
    { parents, checksum, totalBytes }: Extract<AttemptResult, { kind: 'redirect' }>,
  ): void {
    this.#shared.observe('redirected', null);
    const integrity = this.#integrity;
    if (checksum !== null && this.#attempts.role === 'owner') integrity.said(checksum, totalBytes);
    if (integrity.data !== null) {
      // It sends us to others although we have every byte: it does not know the checksum yet, or
      // has just said it.
      integrity.statMissed = false;
      if (integrity.checksum !== null) this.#compare(integrity.data);
      else this.#wait(ORIGIN_BACKOFF_MS);
      return;
    }
    if (checksum === null && this.#lateness.isOwnersFault(node, this.#progress.ownerSinceMs)) {
      this.#shared.health.slow(node, this.#shared.nowMs());
      return this.#passOver(node, 'owner', true);
    }
    const parent = this.#sources.parentOf(parents);
    if (this.#attempts.role === 'root' || this.#progress.redirected() || parent === undefined) {
      this.#shared.health.failed(node, this.#shared.nowMs());
      this.#passOver(node);
    } else this.#read(parent, 'parent');
  }

  #busy(node: NodeId, retryMs: number): void {
    const { role } = this.#attempts;
    if (role === 'parent') return this.#parentWaits(node);
    const out = this.#lateness.isOut(node, role, this.#progress.ownerMs);
    if (out) this.#shared.health.failed(node, this.#shared.nowMs());
    if (out || this.#lateness.isOver(node, role, this.#progress.ownerMs))
      this.#passOver(node, role, !out);
    else this.#wait(retryMs);
  }

  /** A living parent that has nothing to send waits for its own: it is asked again. */
  #parentWaits(node: NodeId): void {
    if (!this.#lateness.isLate('parent', this.#parentSinceMs)) return this.#read(node, 'parent');
    this.#lateness.left('parent', this.#owner);
    this.#shared.observe('slow', node);
    this.#leave(node);
  }

  #refused(node: NodeId, error: WireError): void {
    const { role } = this.#attempts;
    const mayFind = role === 'owner' || role === 'root';
    if (mayFind) this.#lastError = error;
    const then = !mayFind ? null : this.#origin.refused(error);
    if (then === null) this.#passOver(node);
    else if (then === 'newer') this.#go();
    else if (then === 'origin') {
      this.#sources.turnToOrigin();
      this.#progress.ownerChanged();
      this.#go();
    } else this.#afterOrigin(then);
  }

  #failed(node: NodeId, error: WireError): void {
    const { health, nowMs, observe } = this.#shared;
    this.#lastError = error;
    if (error.code === 'DIGEST_MISMATCH' || error.code === 'CHECKSUM_MISMATCH')
      return this.#corrupt(null);
    observe(error.code === 'PEER_TIMEOUT' ? 'stalled' : 'resumed', node);
    const { role, fromBytes } = this.#attempts;
    if (
      !this.#isForgiven(
        node,
        error,
        this.#progress.receivedBytes > fromBytes ||
          (role !== 'parent' && this.#sources.isLast(node)),
      )
    ) {
      health.failed(node, nowMs());
      this.#passOver(node);
    } else if (role === 'parent') this.#read(node, 'parent');
    else this.#go();
  }

  /**
   * The first silence of a node that sent before: it may have nothing to send, as what is behind it
   * is slow. Or of one behind which there is only the origin, where all would go because a machine
   * was short of a core. If it is dead the next request tells.
   */
  #isForgiven(node: NodeId, error: WireError, mayBe: boolean): boolean {
    const { health, nowMs } = this.#shared;
    if (
      error.code !== 'PEER_TIMEOUT' ||
      !mayBe ||
      health.hasFailed(node) ||
      !this.#progress.fellSilent(node)
    )
      return false;
    health.slow(node, nowMs());
    return true;
  }

  /** Not from this node again: a parent is excluded, an owner or root passed over in this fetch. */
  #passOver(node: NodeId, role: AskRole | 'origin' = this.#attempts.role, late = false): void {
    if (role === 'parent') return this.#leave(node);
    this.#sources.passOver(node, late);
    this.#progress.ownerChanged();
    this.#shared.observe('owner-changed', node);
    this.#go();
  }

  #leave(parent: NodeId): void {
    this.#sources.shun(parent);
    this.#go();
  }

  // --- all bytes are here ---

  #whole(data: Whole, node: NodeId | null): void {
    const { pace, nowMs } = this.#shared;
    this.#progress.ownerMs = nowMs();
    if (this.#attempts.fromBytes === 0)
      pace.done(this.shard.index, nowMs() - this.#attempts.sinceMs, nowMs());
    this.#integrity.whole(data, node, this.#attempts.isTrusted);
    if (this.#integrity.checksum === null) this.#go();
    else this.#compare(data);
  }

  #compare(data: Whole): void {
    const result = this.#integrity.result(data);
    if (result === null) this.#corrupt(data);
    else this.#finish(result);
  }

  /** The bytes are not the owner's, or not the blob's by its digest. */
  #corrupt(data: Whole | null): void {
    const { error, fromBytes, hopeless, tell } = this.#integrity.blame(data, this.#sources);
    this.#lastError = error;
    this.#restart(fromBytes);
    if (hopeless) this.#close({ kind: 'failed', error });
    else if (tell !== null) this.#stat(tell.owner, tell.liar, 'lied');
    else this.#go();
  }

  #restart(fromBytes: number): void {
    this.#integrity.restart(fromBytes);
    this.#progress.restart(fromBytes);
  }

  // --- watching ---

  /** Leaves a peer that takes far longer than shards do lately; each time it is more patient. */
  #watch(nowMs: number): void {
    this.#progress.grew(this.#shared.effects.receivedBytes(this));
    const { node, role } = this.#attempts;
    const sinceMs = role === 'parent' ? this.#parentSinceMs : this.#attempts.sinceMs;
    if (node === null || !this.#lateness.isOver(node, role, sinceMs)) return;
    this.#lateness.left(role, this.#owner);
    this.#shared.observe('slow', node);
    if (role === 'parent') this.#sources.shun(node);
    else {
      this.#shared.health.slow(node, nowMs);
      this.#sources.passOver(node, true);
    }
    this.#abandon();
  }

  /**
   * An owner that keeps the checksum back, because it has not got the shard itself, is passed over:
   * others have.
   */
  #watchStat(nowMs: number, node: NodeId): void {
    if (!this.#lateness.isOver(node, 'owner', this.#attempts.sinceMs)) return;
    this.#shared.observe('slow', node);
    this.#shared.health.slow(node, nowMs);
    this.#passOver(node, 'owner', true);
  }

  #abandon(): void {
    this.#phase = 'leaving';
    this.#attempts.abandon();
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
    this.#attempts.node = null;
    this.#shared.over(this, result);
  }
}
