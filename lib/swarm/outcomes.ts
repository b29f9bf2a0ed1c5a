import type { WireError } from '../errors.ts';
import type { FetchParts } from './fetch-parts.ts';
import type { FetchSteps } from './fetch-steps.ts';
import { THREAD_BACKOFF_MS } from './limits.ts';
import { type AfterOrigin, errorAtOrigin } from './origin-tries.ts';
import type { Patience } from './patience.ts';
import type { AttemptResult, NodeId } from './types.ts';
import type { Verification } from './verification.ts';

/** What the end of an attempt that brought no whole shard leads to. */
export class Outcomes {
  readonly #parts: FetchParts;
  readonly #patience: Patience;
  readonly #verification: Verification;
  readonly #steps: FetchSteps;

  constructor(
    parts: FetchParts,
    patience: Patience,
    verification: Verification,
    steps: FetchSteps,
  ) {
    this.#parts = parts;
    this.#patience = patience;
    this.#verification = verification;
    this.#steps = steps;
  }

  /** The attempt at `node` (null: the origin) has ended with `result`. */
  settle(node: NodeId | null, result: Exclude<AttemptResult, { kind: 'data' }>): void {
    const { role } = this.#parts.attempts;
    if (node === null) this.#originEnded(result);
    else if (result.kind === 'redirect') this.#redirected(node, result);
    else if (result.kind === 'busy') this.#busy(node, result.retryMs);
    else if (result.kind === 'miss') this.#steps.passOver(node, role);
    else if (result.kind === 'refused') this.#refused(node, result.error);
    else this.#failed(node, result.error);
  }

  #originEnded(result: AttemptResult): void {
    const { origin, progress, shard, shared } = this.#parts;
    if (result.kind === 'failed' && result.wholeOnly === true && shard.rankedAs !== 0) {
      shard.rankedAs = 0;
      origin.unused();
      return this.#steps.go();
    }
    const error = errorAtOrigin(result);
    this.#parts.lastError = error;
    this.#afterOrigin(origin.failed(error, shared.nowMs() - progress.grownMs));
  }

  #afterOrigin(then: AfterOrigin): void {
    if (then.kind === 'end') return this.#steps.close(then.result);
    if (then.anew) this.#verification.restart(0);
    if (then.kind === 'again') {
      if (!this.#patience.isOver) this.#parts.sources.turnBack();
      this.#steps.go();
    } else {
      this.#parts.shared.observe('origin-retry', null);
      this.#steps.pause(then.ms);
    }
  }

  #redirected(
    node: NodeId,
    { parents, checksum, totalBytes }: Extract<AttemptResult, { kind: 'redirect' }>,
  ): void {
    const { attempts, integrity, progress, shared, sources } = this.#parts;
    shared.observe('redirected', null);
    if (checksum !== null && attempts.role === 'owner') integrity.said(checksum, totalBytes);
    if (integrity.data !== null) return this.#verification.redirected(integrity.data);
    const parent = sources.parentOf(parents);
    if (attempts.role === 'root' || progress.redirected() || parent === undefined) {
      shared.health.failed(node, shared.nowMs());
      this.#steps.passOver(node, attempts.role);
    } else this.#steps.readParent(parent);
  }

  #busy(node: NodeId, retryMs: number): void {
    const { attempts, lateness, progress, shared } = this.#parts;
    const { role } = attempts;
    if (role === 'parent') return this.#parentWaits(node, retryMs);
    const out = lateness.isOut(node, role, progress.ownerMs, attempts.wasHeld);
    if (out) shared.health.failed(node, shared.nowMs());
    if (out || lateness.isOver(node, role, progress.ownerMs))
      this.#steps.passOver(node, role, !out);
    else this.#steps.wait(attempts.wasHeld ? retryMs : progress.pauseMs(retryMs));
  }

  /** A parent that waits holds a request, and is asked again; one that asks for a pause is full. */
  #parentWaits(node: NodeId, retryMs: number): void {
    const { attempts, lateness, shared } = this.#parts;
    if (lateness.isLate('parent', attempts.askedMs)) {
      lateness.leftParent();
      shared.observe('slow', node);
    } else if (retryMs <= 1) return this.#steps.readParent(node);
    this.#steps.passOver(node, 'parent');
  }

  #refused(node: NodeId, error: WireError): void {
    const { attempts, origin, progress, sources } = this.#parts;
    const mayFind = attempts.role === 'owner' || attempts.role === 'root';
    if (mayFind) this.#parts.lastError = error;
    const then = mayFind ? origin.refused(error) : null;
    if (then === null) this.#steps.passOver(node, attempts.role);
    else if (then === 'newer') this.#steps.go();
    else if (then === 'origin') {
      sources.turnToOrigin();
      progress.ownerChanged();
      this.#steps.go();
    } else this.#afterOrigin(then);
  }

  #failed(node: NodeId, error: WireError): void {
    const { attempts, lateness, progress, shared, sources } = this.#parts;
    this.#parts.lastError = error;
    if (error.code === 'THREAD_LOST') {
      this.#verification.threadLost();
      return this.#steps.pause(THREAD_BACKOFF_MS);
    }
    if (error.code === 'DIGEST_MISMATCH' || error.code === 'CHECKSUM_MISMATCH')
      return this.#verification.corrupt(null);
    shared.observe(error.code === 'PEER_TIMEOUT' ? 'stalled' : 'resumed', node);
    const { role, fromBytes } = attempts;
    const sent = progress.receivedBytes > fromBytes;
    const mayBe = sent || (role !== 'parent' && sources.isLast(node));
    if (!lateness.isForgiven(node, error, mayBe, progress)) {
      this.#parts.hasFailed(node, role, error);
      this.#steps.passOver(node, role);
    } else if (role === 'parent') this.#steps.readParent(node);
    else this.#steps.go();
  }
}
