import { ACCUSERS_MIN, EXCLUDES_MAX, SUCCESSORS } from '../limits.ts';
import type { FetchShared } from './fetch-shared.ts';
import type { AskedAs, NodeId, ShardId } from './types.ts';

/** Whom one fetch may ask, and whom it no longer does. */
export class Sources {
  readonly #shared: FetchShared;
  readonly #shard: ShardId;
  /** Parents not to be sent to again. */
  readonly #excluded: NodeId[] = [];
  /** Owners and roots passed over in this fetch, whatever others think of them. */
  readonly #passed: NodeId[] = [];
  /** Who asked this node because a better-ranked owner is no good. */
  readonly #accusers = new Set<NodeId>();

  constructor(shared: FetchShared, shard: ShardId) {
    this.#shared = shared;
    this.#shard = shard;
  }

  /** The owner or root to ask; no node: the origin. */
  next(): { node: NodeId | null; as: AskedAs } {
    const { self, membership } = this.#shared;
    const members = membership();
    if (self.role === 'agent' || members.roots.size === 0) {
      const owner = this.#firstUsable(members.owners.top(this.#shard), members.roots.size === 0);
      if (owner !== null && owner !== self.node) return { node: owner, as: 'owner' };
    }
    const root = this.#firstUsable(members.roots.top(this.#shard), true);
    return { node: root === self.node ? null : root, as: 'root' };
  }

  /** Nodes to name in a request; to an owner also the owners passed over, which tells it that it is the owner now. */
  exclude(as: AskedAs): NodeId[] {
    if (as === 'root') return [];
    return as === 'owner' && this.#passed.length > 0 ? [...new Set([...this.#excluded, ...this.#passed])] : this.#excluded;
  }

  /** The first of the parents named that may be one. */
  parentOf(named: readonly NodeId[]): NodeId | undefined {
    const { self, membership } = this.#shared;
    return named.find((node) => node !== self.node && !this.#excluded.includes(node) && membership().byNode.has(node));
  }

  /** An owner or root is not asked again. */
  passOver(node: NodeId): void {
    if (!this.#passed.includes(node)) this.#passed.push(node);
  }

  /** A parent is not asked again, nor named by an owner. */
  shun(node: NodeId): void {
    if (!this.#excluded.includes(node)) this.#excluded.push(node);
    if (this.#excluded.length > EXCLUDES_MAX) this.#excluded.shift();
  }

  /**
   * `by` asks this node as owner and names those it has passed over. With roots that is believed at once: to act as owner
   * costs a root one shard more. Without, it would cost the origin one, so ACCUSERS_MIN have to agree (or all there are).
   * True when this node has passed somebody over because of it.
   */
  accuse(by: NodeId, accused: readonly NodeId[]): boolean {
    const { self, membership } = this.#shared;
    const members = membership();
    const rank = members.owners.top(this.#shard);
    const place = rank.indexOf(self.node);
    const better = (place < 0 ? rank : rank.slice(0, place)).filter((node) => accused.includes(node) && !this.#passed.includes(node));
    if (better.length === 0) return false;
    this.#accusers.add(by);
    const needed = members.roots.size > 0 ? 1 : Math.min(ACCUSERS_MIN, Math.max(1, members.owners.size - 2));
    if (this.#accusers.size < needed) return false;
    this.#passed.push(...better);
    return true;
  }

  /**
   * Whether a node may be left only for being late. Always, unless that would send this node to the origin: there go,
   * for lateness, only the owner's successors, and where there are roots nobody.
   */
  mayLeave(node: NodeId, as: AskedAs | 'origin'): boolean {
    if (as === 'parent') return true;
    const { self, membership } = this.#shared;
    const before = this.#passed.length;
    this.#passed.push(node);
    const then = this.next();
    this.#passed.length = before;
    if (then.node !== null) return true;
    const place = membership().owners.top(this.#shard).indexOf(self.node);
    return membership().roots.size === 0 && place >= 0 && place <= SUCCESSORS;
  }

  /** Where there are roots slow nodes are passed over, too; without them that would cost the origin a shard each. */
  #firstUsable(rank: readonly NodeId[], slowToo: boolean): NodeId | null {
    const { self, health, nowMs } = this.#shared;
    const now = nowMs();
    for (const node of rank) {
      if (node === self.node || (!this.#passed.includes(node) && (slowToo ? health.usable(node, now) : health.good(node, now)))) return node;
    }
    return null;
  }
}
