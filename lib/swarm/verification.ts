import { ORIGIN_BACKOFF_MS, THREAD_BACKOFF_MS } from './limits.ts';
import type { FetchParts } from './fetch-parts.ts';
import type { FetchSteps } from './fetch-steps.ts';
import type { Whole } from './integrity.ts';
import type { Patience } from './patience.ts';
import type { NodeId, Report, StatResult } from './types.ts';

/** The last part of a fetch: all bytes are here, and compared with the owner's checksum. */
export class Verification {
  readonly #parts: FetchParts;
  readonly #patience: Patience;
  readonly #steps: FetchSteps;

  constructor(parts: FetchParts, patience: Patience, steps: FetchSteps) {
    this.#parts = parts;
    this.#patience = patience;
    this.#steps = steps;
  }

  /** Every byte is here, the last from `node`; null: the origin. */
  whole(data: Whole, node: NodeId | null): void {
    const { shared, shard, attempts, progress, integrity } = this.#parts;
    const nowMs = shared.nowMs();
    progress.ownerMs = nowMs;
    if (attempts.fromBytes === 0) shared.pace.done(shard.index, nowMs - attempts.sinceMs, nowMs);
    integrity.whole(data, node, attempts.isTrusted);
    if (integrity.checksum === null) this.#steps.go();
    else this.compare(data);
  }

  /** A node that was asked for the checksum, as for bytes, named other nodes instead. */
  redirected(data: Whole): void {
    const { integrity } = this.#parts;
    integrity.statMissed = false;
    if (integrity.checksum !== null) this.compare(data);
    else this.#steps.wait(ORIGIN_BACKOFF_MS);
  }

  compare(data: Whole): void {
    const result = this.#parts.integrity.result(data);
    if (result === null) this.corrupt(data);
    else this.#steps.close(result);
  }

  /** The bytes are not the owner's (null: not the blob's, by its digest). */
  corrupt(data: Whole | null): void {
    const { integrity, sources } = this.#parts;
    const { error, fromBytes, hopeless, tell } = integrity.blame(data, sources);
    this.#parts.lastError = error;
    this.restart(fromBytes);
    if (hopeless && !this.#patience.toOrigin()) this.#steps.close({ kind: 'failed', error });
    else if (!hopeless && tell !== null) this.stat(tell.owner, tell.liar, 'lied');
    else this.#steps.go();
  }

  /** Everything after `fromBytes` is thrown away. */
  restart(fromBytes: number): void {
    this.#parts.integrity.restart(fromBytes);
    this.#parts.progress.restart(fromBytes);
  }

  /**
   * A thread of this node ended during a read from a peer. The peer is not at fault: the read is
   * repeated.
   */
  threadLost(): void {
    const { attempts, integrity } = this.#parts;
    this.restart(Math.min(attempts.fromBytes, integrity.provenance.trustedBytes));
  }

  /** Asks `node` for the checksum, and tells it how it went with `parent`. */
  stat(node: NodeId, parent: NodeId | null, report: Report): void {
    this.#steps.checking();
    this.#parts.progress.asked(node);
    this.#parts.attempts.stat(node, parent, report);
  }

  /** `node` has answered a stat. */
  settle(node: NodeId, result: StatResult): void {
    const { shared, sources, attempts, progress, lateness, integrity } = this.#parts;
    const { data } = integrity;
    attempts.node = null;
    if (data === null) this.#steps.go();
    else if (result.kind === 'stat') {
      shared.health.succeeded(node);
      integrity.said(result.checksum, result.totalBytes);
      this.compare(data);
    } else if (result.kind === 'busy') {
      const out = lateness.isOut(node, 'owner', progress.ownerMs, attempts.wasHeld);
      if (out || lateness.isOver(node, 'owner', progress.ownerMs))
        this.#steps.passOver(node, 'owner', !out);
      else this.#steps.wait(attempts.wasHeld ? result.retryMs : progress.pauseMs(result.retryMs));
    } else if (result.kind === 'miss') {
      if (!integrity.missed(node)) return this.#steps.go();
      // It sends bytes repeatedly, but never their checksum.
      shared.health.failed(node, shared.nowMs());
      this.#steps.passOver(node, 'owner');
    } else if (result.kind === 'refused') this.#steps.passOver(node, 'owner');
    else if (result.error.code === 'THREAD_LOST') this.#steps.wait(THREAD_BACKOFF_MS);
    else if (lateness.isForgiven(node, result.error, sources.isLast(node), progress))
      this.#steps.go();
    else {
      shared.health.failed(node, shared.nowMs());
      this.#parts.lastError = result.error;
      this.#steps.passOver(node, 'owner');
    }
  }

  /**
   * An owner that keeps the checksum back, because it has not got the shard itself, is passed over:
   * others have. A root has it for certain, and is asked first.
   */
  watch(node: NodeId): void {
    const { shared, attempts, lateness, sources } = this.#parts;
    const waitedMs = shared.nowMs() - attempts.sinceMs;
    const isRoot = shared.membership().byNode.get(node)?.role === 'root';
    if (waitedMs > shared.pace.checksumMs && !isRoot && sources.hasRoot) sources.turnToRoots();
    else if (!lateness.isOver(node, 'owner', attempts.sinceMs)) return;
    shared.observe('slow', node);
    shared.health.slow(node, shared.nowMs());
    this.#steps.passOver(node, 'owner', true);
  }
}
