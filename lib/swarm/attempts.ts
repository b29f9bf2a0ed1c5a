import { PEER_HOLD_MS } from '../limits.ts';
import type { FetchShared } from './fetch-shared.ts';
import { gatherMs } from './shape.ts';
import type { AskRole, Fetch, OriginRef, NodeId, PeerAsk, Report } from './types.ts';

/**
 * What one fetch has under way with its driver: one attempt at most, counted, and the marks of the
 * last.
 */
export class Attempts {
  /** The role in which the node of the last read was asked. */
  role: AskRole | 'origin' = 'origin';
  /** The node that the current attempt asks; null: the origin, or no attempt. */
  node: NodeId | null = null;
  /** The node asked last. */
  lastNode: NodeId | null = null;
  /** When it began, in ms. */
  sinceMs = 0;
  /** When the node of the last read was first asked; a parent that waits is asked repeatedly. */
  askedMs = 0;
  /** First byte the last read asked for. */
  fromBytes = 0;
  /** Whether it was asked for checked bytes only. */
  isChecked = false;
  /** How long the node of the attempt may have nothing to send. */
  #holdMs = 0;
  readonly #fetch: Fetch;
  readonly #shared: FetchShared;
  #number = 0;

  constructor(fetch: Fetch, shared: FetchShared) {
    this.#fetch = fetch;
    this.#shared = shared;
  }

  /** Whether the node of the last read vouches for its bytes: a parent does not. */
  get isTrusted(): boolean {
    return this.role !== 'parent';
  }

  /** How late the answer of the attempt came: after the hold, if it was held. */
  get overdueMs(): number {
    const tookMs = this.#shared.nowMs() - this.sinceMs;
    return tookMs < this.#holdMs ? tookMs : tookMs - this.#holdMs;
  }

  /** Whether the node of the attempt held it: "busy" at once says nothing of a wait of its own. */
  get wasHeld(): boolean {
    return this.#shared.nowMs() - this.sinceMs >= this.#holdMs / 2;
  }

  isCurrent(attempt: number): boolean {
    return attempt === this.#number;
  }

  /** Reads from `node`. */
  read(
    node: NodeId,
    role: AskRole,
    ask: Omit<PeerAsk, 'node' | 'role' | 'load' | 'shardMs' | 'lineMs' | 'gatherMs'>,
  ): void {
    if (role !== 'parent' || this.lastNode !== node) this.askedMs = this.#shared.nowMs();
    this.#begin(node);
    this.role = role;
    this.fromBytes = ask.fromBytes;
    this.isChecked = ask.checked === true;
    this.#holdMs = ask.holdMs;
    const { lineMs } = this.#shared.pace;
    this.#shared.effects.ask(this.#fetch, this.#number, {
      node,
      role,
      fromBytes: ask.fromBytes,
      exclude: ask.exclude,
      hops: ask.hops,
      load: this.#shared.load(),
      shardMs: this.#shared.pace.knownMs,
      gatherMs: gatherMs(this.#shared.membership().agents.size, this.#shared.pace.shapeMs),
      ...(lineMs === null ? {} : { lineMs }),
      trusted: ask.trusted,
      ...(ask.checked === true ? { checked: true } : {}),
      ...(ask.parentFailed === true ? { parentFailed: true } : {}),
      holdMs: ask.holdMs,
      silenceMs: ask.silenceMs,
      stallMs: ask.stallMs,
      origin: ask.origin,
    });
  }

  origin(fromBytes: number, alone: boolean, origin: OriginRef): void {
    this.#begin(null);
    this.role = 'origin';
    this.isChecked = false;
    this.fromBytes = fromBytes;
    this.#shared.effects.origin(this.#fetch, this.#number, { fromBytes, alone, origin });
  }

  /** Asks `node` for the checksum, and tells it how it went with `parent`. */
  stat(node: NodeId, parent: NodeId | null, report: Report): void {
    this.#begin(node);
    this.#holdMs = PEER_HOLD_MS;
    this.#shared.effects.stat(this.#fetch, this.#number, { node, parent, report });
  }

  /** The attempt under way is to stop; it still settles. */
  abandon(): void {
    this.#shared.effects.abandon(this.#fetch, this.#number);
  }

  #begin(node: NodeId | null): void {
    this.sinceMs = this.#shared.nowMs();
    this.node = this.lastNode = node;
    this.#number++;
  }
}
