import { SOUNDING_GROWTH, SOUNDING_GROWTHS_MAX, SOUNDING_MS_MAX } from './limits.ts';
import type { NodeId } from './types.ts';

/** A node that holds requests of this one. */
interface Holding {
  /** When something last came from it. */
  heardMs: number;
  /** Since when it is being sounded; null: it is not. */
  askedMs: number | null;
  /** Soundings it has answered since anything else came from it. */
  answers: number;
}

/**
 * Decides which nodes to ask whether they are there ("sounding"). A node that waits for bytes may
 * hold requests for many seconds and say nothing; an unplugged node says nothing either. So a node
 * that holds requests, and from which nothing came for a while, is asked: one message at a time,
 * however many requests it holds. With each answer the pause before the next grows.
 */
export class Soundings {
  #holdings = new Map<NodeId, Holding>();
  /** Nodes that were asked although they hold no request: when, and whether anything came since. */
  readonly #ahead = new Map<NodeId, { askedMs: number; wasHeard: boolean }>();

  /** An answer to a request, or bytes, came from `node`. */
  heard(node: NodeId, nowMs: number): void {
    const ahead = this.#ahead.get(node);
    if (ahead !== undefined) ahead.wasHeard = true;
    const holding = this.#holdings.get(node);
    if (holding === undefined) return;
    holding.heardMs = nowMs;
    holding.answers = 0;
  }

  /**
   * Those of `nodes` to be asked now, before a fetch turns to them: they hold no request, and were
   * not asked within SOUNDING_MS_MAX. Call `aheadOver` once for each.
   */
  unheard(nodes: readonly NodeId[], nowMs: number): NodeId[] {
    for (const [node, { askedMs }] of this.#ahead)
      if (nowMs - askedMs > SOUNDING_MS_MAX) this.#ahead.delete(node);
    const unheard = nodes.filter((node) => !this.#holdings.has(node) && !this.#ahead.has(node));
    for (const node of unheard) this.#ahead.set(node, { askedMs: nowMs, wasHeard: false });
    return unheard;
  }

  /** Returns whether a node of `unheard` is gone: it did not answer, and nothing came from it. */
  aheadOver(node: NodeId, isThere: boolean): boolean {
    return !isThere && this.#ahead.get(node)?.wasHeard !== true;
  }

  /**
   * Those of `nodes`, all that hold requests, to be asked now: nothing came from them for
   * `silentMs`, or longer after soundings. Call `over` once for each.
   */
  due(nodes: Iterable<NodeId>, silentMs: number, nowMs: number): NodeId[] {
    const before = this.#holdings;
    this.#holdings = new Map();
    const due: NodeId[] = [];
    for (const node of nodes) {
      if (this.#holdings.has(node)) continue;
      const holding = before.get(node) ?? { heardMs: nowMs, askedMs: null, answers: 0 };
      this.#holdings.set(node, holding);
      const patienceMs =
        silentMs * SOUNDING_GROWTH ** Math.min(holding.answers, SOUNDING_GROWTHS_MAX);
      if (holding.askedMs !== null || nowMs - holding.heardMs < patienceMs) continue;
      holding.askedMs = nowMs;
      due.push(node);
    }
    return due;
  }

  /** The sounding of `node` is over. Returns whether it is gone: nothing came from it since. */
  over(node: NodeId, isThere: boolean, nowMs: number): boolean {
    const holding = this.#holdings.get(node);
    if (holding === undefined || holding.askedMs === null) return false;
    const isGone = !isThere && holding.heardMs <= holding.askedMs;
    holding.askedMs = null;
    if (isThere) {
      holding.heardMs = nowMs;
      holding.answers++;
    }
    return isGone;
  }
}
