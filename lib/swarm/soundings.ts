import { SOUNDING_DOUBLINGS_MAX } from './limits.ts';
import type { NodeId } from './types.ts';

/** A node that holds requests of this one. */
interface Holding {
  /** When it was last heard of. */
  heardMs: number;
  /** Since when it is being sounded; null: it is not. */
  askedMs: number | null;
  /** Soundings it has answered since anything else came of it. */
  answers: number;
}

/**
 * Which nodes to ask whether they are there. A node that waits itself may hold requests for many
 * seconds and says nothing meanwhile; one that was unplugged says nothing either. So a node that
 * holds requests and was not heard of for a while is sounded: one message at a time, however many
 * requests it holds, and after each that it answers half as often.
 */
export class Soundings {
  #holdings = new Map<NodeId, Holding>();

  /** An answer to a request, or bytes, came from `node`. */
  heard(node: NodeId, nowMs: number): void {
    const holding = this.#holdings.get(node);
    if (holding === undefined) return;
    holding.heardMs = nowMs;
    holding.answers = 0;
  }

  /**
   * Those of `nodes`, all that hold requests, to be sounded now: not heard of for `silentMs`, or
   * longer after soundings. Call `over` once for each.
   */
  due(nodes: Iterable<NodeId>, silentMs: number, nowMs: number): NodeId[] {
    const before = this.#holdings;
    this.#holdings = new Map();
    const due: NodeId[] = [];
    for (const node of nodes) {
      if (this.#holdings.has(node)) continue;
      const holding = before.get(node) ?? { heardMs: nowMs, askedMs: null, answers: 0 };
      this.#holdings.set(node, holding);
      const patienceMs = silentMs * 2 ** Math.min(holding.answers, SOUNDING_DOUBLINGS_MAX);
      if (holding.askedMs !== null || nowMs - holding.heardMs < patienceMs) continue;
      holding.askedMs = nowMs;
      due.push(node);
    }
    return due;
  }

  /** The sounding of `node` is over. Returns whether the node is gone: nothing came of it since. */
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
