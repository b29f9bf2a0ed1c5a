import type { FetchShared } from './fetch-shared.ts';
import { rateOf, TESTED_SHARD_MS_MIN } from './line-meter.ts';
import type { AskRequest, NodeId } from './types.ts';

/** Agents that a node tests its line with. */
const TEST_NODES = 4;

/** The first test comes within this time: nodes that start together must not all test at once. */
const FIRST_TEST_MS = 10_000;

/** How long a test counts (0.75 to 1.25 times, by chance), and the pause after one that failed. */
const TEST_AGE_MS = 3_600_000;
const TEST_PAUSE_MS = 300_000;

/** A node is slow if its line is so many times slower than another. */
const SLOW_LINE_FACTOR = 2.5;

/**
 * The reference is the line that so many of the nodes heard of reach. It is not the fastest, since
 * each node says for itself how fast it is: a few that boast must not make all others slow.
 */
const REFERENCE_SHARE = 0.25;

/** Of fewer nodes the fastest counts: the first that ask may all be slow but one. */
const REFERENCE_NODES_MIN = 9;

/** With more nodes, the reference is computed anew so often at most. */
const REFERENCE_NODES_MAX = 64;
const REFERENCE_MS = 100;

/** `slow`: a node's line was tested, and is much slower than those of others. See Tracker. */
export type Speed = 'usual' | 'slow';

/**
 * How fast this node's line is, and those of the nodes that ask it as owner. What a pull brings
 * does not tell: all shards of a node may come over one slow parent. So while it fetches nothing, a
 * node lets some agents send it bytes of no meaning, and takes the time.
 */
export class Lines {
  readonly #shared: FetchShared;
  /** `lineMs` of each node heard of. */
  readonly #heard = new Map<NodeId, number>();
  #referenceMs = Infinity;
  #computedMs = -Infinity;
  #isOutdated = false;
  /** When to test; Infinity while a test is under way; null: no other agent was seen yet. */
  #dueMs: number | null = null;

  constructor(shared: FetchShared) {
    this.#shared = shared;
  }

  /** To be called now and then while nothing is fetched: tests the line when that is due. */
  tick(): void {
    const { effects, membership, nowMs, pace, random, self } = this.#shared;
    if (self.role !== 'agent' || membership().agents.size < 2) return;
    this.#dueMs ??= nowMs() + random() * FIRST_TEST_MS;
    if (nowMs() < this.#dueMs) return;
    this.#dueMs = Infinity;
    const nodes = this.#testNodes();
    effects.testLine(nodes, (test) => {
      const bytesPerMs = rateOf(test);
      if (bytesPerMs !== null) pace.tested(bytesPerMs);
      const pauseMs = bytesPerMs === null ? TEST_PAUSE_MS : TEST_AGE_MS;
      this.#dueMs = nowMs() + pauseMs * (0.75 + 0.5 * random());
    });
  }

  /**
   * Whether the test has found this node's line as fast as it can tell. Then shards come so fast
   * that it matters more when they are asked for than in which order.
   */
  get isFast(): boolean {
    return this.#shared.pace.testedMs <= TESTED_SHARD_MS_MIN;
  }

  /** Nodes that are no longer members are forgotten. */
  prune(isMember: (node: NodeId) => boolean): void {
    for (const node of this.#heard.keys()) if (!isMember(node)) this.#heard.delete(node);
    this.#isOutdated = true;
  }

  /** How fast the line is of a node that asks this one as owner; `usual` while it is not tested. */
  speedOf({ node, lineMs }: AskRequest): Speed {
    if (lineMs === undefined) return 'usual';
    this.#hear(node, lineMs);
    return lineMs > SLOW_LINE_FACTOR * this.#reference() ? 'slow' : 'usual';
  }

  /**
   * Whether a node that asks has a line so much faster that it should not wait for this one. Both
   * must be tested: what came lately says as much of the senders. Only a node that is slow beside
   * the reference gives way: one that boasts must not make all others do so.
   */
  isMuchFaster({ node, lineMs }: AskRequest): boolean {
    const own = this.#shared.pace.lineMs;
    if (own === null || lineMs === undefined) return false;
    this.#hear(node, lineMs);
    return own > SLOW_LINE_FACTOR * Math.max(lineMs, this.#reference());
  }

  #hear(node: NodeId, lineMs: number): void {
    if (this.#heard.get(node) === lineMs || !this.#shared.membership().byNode.has(node)) return;
    this.#heard.set(node, lineMs);
    this.#isOutdated = true;
  }

  #reference(): number {
    const nowMs = this.#shared.nowMs();
    const isFresh =
      this.#heard.size > REFERENCE_NODES_MAX && nowMs - this.#computedMs < REFERENCE_MS;
    if (!this.#isOutdated || isFresh) return this.#referenceMs;
    this.#isOutdated = false;
    this.#computedMs = nowMs;
    const own = this.#shared.pace.lineMs;
    const all = [...this.#heard.values(), ...(own === null ? [] : [own])].sort((a, b) => a - b);
    const share = all.length < REFERENCE_NODES_MIN ? 0 : REFERENCE_SHARE;
    const referenceMs = all[Math.floor(share * (all.length - 1))] ?? Infinity;
    // A test cannot tell faster lines; that shards came faster to some says nothing of the others.
    return (this.#referenceMs = Math.max(TESTED_SHARD_MS_MIN, referenceMs));
  }

  /** Agents of the same zone, if there are enough: others are further away. By chance. */
  #testNodes(): NodeId[] {
    const { membership, random, self } = this.#shared;
    const others = [...membership().byNode.values()].filter(
      ({ node, role }) => role === 'agent' && node !== self.node,
    );
    const near = others.filter(({ zone }) => zone === self.zone);
    const from = near.length > 1 ? near : others;
    const nodes: NodeId[] = [];
    while (nodes.length < TEST_NODES && from.length > 0)
      nodes.push(from.splice(Math.floor(random() * from.length), 1)[0]!.node);
    return nodes;
  }
}
