import type { WireError } from '../errors.ts';
import {
  ALIVE_BYTES_PER_MS,
  BUSY_PATIENCE_MS,
  OVERTAKERS_MAX,
  OVERTAKERS_MIN,
  OWNER_PATIENCE_MS,
  REST_LAST_FACTOR,
  TRICKLE_BYTES_PER_MS,
} from './limits.ts';
import type { FetchShared } from './fetch-shared.ts';
import type { Progress } from './progress.ts';
import type { Sources } from './sources.ts';
import type { AskRole, NodeId, ShardId } from './types.ts';

/**
 * When one fetch calls another node late: after a multiple of what shards took lately. Where there
 * are no roots, owners are given far more time, as the node that takes an owner's place reads the
 * origin.
 */
export class Lateness {
  readonly #shared: FetchShared;
  readonly #sources: Sources;
  readonly #progress: Progress;
  readonly #shard: ShardId;
  /** How many times `stuckMs` this fetch gives a parent: 1 to 2, by chance (STUCK_SHARDS). */
  readonly #stuckFactor: number;
  #parentsLeft = 0;

  constructor(shared: FetchShared, sources: Sources, progress: Progress, shard: ShardId) {
    this.#shared = shared;
    this.#sources = sources;
    this.#progress = progress;
    this.#shard = shard;
    this.#stuckFactor = 1 + shared.random();
  }

  /** Whether a node asked in `role` since `sinceMs` is late. */
  isLate(role: AskRole | 'origin', sinceMs: number): boolean {
    const { pace, nowMs } = this.#shared;
    const isBehindRoot = role === 'parent' || (pace.isKnown && this.#sources.hasRoot);
    const lateMs = isBehindRoot ? pace.lateMs : pace.lateOwnerMs;
    if (nowMs() - sinceMs > lateMs) return true;
    if (role !== 'parent') return false;
    const overtakersMax = Math.max(OVERTAKERS_MIN, 2 * pace.uploadsAtOnce) * 2 ** this.#parentsLeft;
    return (
      this.#isStuck(sinceMs) ||
      pace.overtakers(this.#shard.index, sinceMs) >= Math.min(OVERTAKERS_MAX, overtakersMax)
    );
  }

  /**
   * Whether a parent asked since `sinceMs` has brought no byte for too long, although none came of
   * the shards before this one either: it is behind a node that has gone or has a slow line, or
   * nodes wait for each other in a circle.
   */
  #isStuck(sinceMs: number): boolean {
    const { arrivals, nowMs, pace } = this.#shared;
    const { key, index } = this.#shard;
    const endMs = nowMs() - this.#stuckFactor * pace.stuckMs;
    // Asked at every tick; nearly always the first two say so already.
    return (
      sinceMs < endMs && this.#progress.grownMs < endMs && arrivals.beforeMs(key, index) < endMs
    );
  }

  /** Whether `node` is late, and may be left for that. */
  isOver(node: NodeId, role: AskRole | 'origin', sinceMs: number): boolean {
    return this.isLate(role, sinceMs) && this.#sources.mayLeave(node, role);
  }

  /**
   * Whether `node` sends the shard so slowly that it counts as failed: it sends hardly more than
   * signs of life, or little while other shards come, for longer than any turn takes. That little
   * comes from it alone says nothing of it: all nodes may wait for a slow origin.
   */
  isTrickle(node: NodeId, role: AskRole | 'origin'): boolean {
    const { pace, nowMs } = this.#shared;
    const { sendingMs, sentBytes } = this.#progress;
    if (sendingMs <= pace.restMs) return false;
    const doOthersCome = pace.flowedSince(nowMs() - sendingMs);
    const leastBytes = (doOthersCome ? TRICKLE_BYTES_PER_MS : ALIVE_BYTES_PER_MS) * sendingMs;
    if (sentBytes >= leastBytes) return false;
    const isLast = !this.#sources.mayLeave(node, role);
    return !isLast || sendingMs > REST_LAST_FACTOR * pace.restMs;
  }

  /**
   * Whether an owner or root has only said "busy" for too long since `sinceMs`. The limit is lower
   * for a node that answers at once: it waits for no other node (`wasHeld` false).
   */
  isOut(node: NodeId, role: AskRole | 'origin', sinceMs: number, wasHeld: boolean): boolean {
    const { pace, nowMs } = this.#shared;
    const waitedMs = nowMs() - sinceMs;
    // A root that holds no request waits for nothing: a slow line is no excuse.
    if (!wasHeld && role !== 'owner') return waitedMs > BUSY_PATIENCE_MS;
    // The last root is waited for however long it holds requests: behind it there is only the
    // origin, for which it waits itself.
    return (
      (role === 'owner' || this.#sources.mayLeave(node, role)) &&
      waitedMs > Math.max(wasHeld ? OWNER_PATIENCE_MS : BUSY_PATIENCE_MS, pace.patienceMs)
    );
  }

  /**
   * Whether `node` is asked again after `error`. The first silence is forgiven of a node that has
   * sent bytes (`mayBe`): it may be waiting for a slow node itself. It is also forgiven of the last
   * node before the origin: otherwise all nodes would go to the origin because one machine was
   * short of a processor. A dead node does not answer the next request either.
   */
  isForgiven(node: NodeId, error: WireError, mayBe: boolean, progress: Progress): boolean {
    const { health, nowMs } = this.#shared;
    if (
      error.code !== 'PEER_TIMEOUT' ||
      !mayBe ||
      health.hasFailed(node) ||
      !progress.fellSilent(node)
    )
      return false;
    health.slow(node, nowMs());
    return true;
  }

  /** A parent was left for being late: more shards must overtake the next one. */
  leftParent(): void {
    this.#parentsLeft++;
  }
}
