import { ACCUSERS_MIN, EXCLUDES_MAX, RANK_DEPTH } from './limits.ts';
import type { FetchShared } from './fetch-shared.ts';
import { type Membership, ownerPlace, type Ranking } from './rank.ts';
import type { AskRole, NodeId, ShardId } from './types.ts';

/** The nodes that one fetch may ask, and those that it passes over. */
export class Sources {
  readonly #shared: FetchShared;
  readonly #shard: ShardId;
  /** Parents not to be sent to again. */
  readonly #excluded: NodeId[] = [];
  /** Owners and roots passed over in this fetch, whatever others think of them. */
  readonly #passed: NodeId[] = [];
  /**
   * Those passed over only for being late, while a root stood before the origin, and when none did.
   */
  readonly #late: { hadRoot: boolean; node: NodeId }[] = [];
  /** Nodes that asked this node because they passed over a better owner. */
  #accusers: Set<NodeId> | null = null;
  /** Nodes that offer the whole blob: an owner asks them before a root or the origin. */
  readonly #holders: Set<NodeId>;
  /** Only the origin is asked from here on. */
  #originOnly = false;
  /** The next owner in rank is asked, as if this node were none. */
  #isYielded = false;

  constructor(shared: FetchShared, shard: ShardId, holders: readonly NodeId[] = []) {
    this.#holders = new Set(holders);
    this.#shared = shared;
    this.#shard = shard;
  }

  /**
   * Whether a root is left. Then passing over an owner costs a root one more shard. Without a root
   * it costs the origin one, so owners that were left only for being late are asked again: they may
   * have waited for the root themselves.
   */
  get hasRoot(): boolean {
    return this.#root() !== null;
  }

  /** The owner, holder or root to ask; no node: the origin. */
  next(): { node: NodeId | null; role: AskRole } {
    if (this.#originOnly) return { node: null, role: 'root' };
    const { self, membership } = this.#shared;
    const members = membership();
    const root = this.#root();
    if (self.role === 'agent' || members.roots.size === 0) {
      const owner = this.#owner(members, root !== null);
      if (owner !== null) return { node: owner, role: 'owner' };
    }
    const holder = this.#holder();
    if (holder !== null) return { node: holder, role: 'holder' };
    return { node: root === self.node ? null : root, role: 'root' };
  }

  /**
   * Nodes to name in a request; to an owner also the owners passed over, which tells it that it is
   * the owner now.
   */
  exclude(role: AskRole): NodeId[] {
    if (role === 'root') return [];
    const isAlone = this.#passed.length + this.#late.length === 0 && !this.#isYielded;
    if (role !== 'owner' || isAlone) return this.#excluded;
    const { hasRoot } = this;
    return [
      ...new Set([
        ...(this.#isYielded ? [this.#shared.self.node] : []),
        ...this.#excluded,
        ...this.#passed,
        ...this.#late.flatMap(({ node, hadRoot }) => (hadRoot === hasRoot ? [node] : [])),
      ]),
    ];
  }

  /** The first of the parents named that may be one. */
  parentOf(named: readonly NodeId[]): NodeId | undefined {
    const { self, membership } = this.#shared;
    return named.find(
      (node) =>
        node !== self.node && !this.#excluded.includes(node) && membership().byNode.has(node),
    );
  }

  /** The owners, or roots, that are next to be asked, at most `most`. */
  ahead(role: 'owner' | 'root', most: number): NodeId[] {
    const { self, membership, health, nowMs } = this.#shared;
    const now = nowMs();
    const { hasRoot } = this;
    const found: NodeId[] = [];
    const rank = role === 'owner' ? this.#ownerRank() : membership().roots.top(this.#shard);
    for (const node of rank) {
      if (node === self.node || found.length >= most) break;
      if (!this.#isPassed(node, hasRoot) && health.usable(node, now)) found.push(node);
    }
    return found;
  }

  /** A holder, owner or root is not asked again; `late`: unless no root is left. */
  passOver(node: NodeId, late = false): void {
    if (this.#holders.delete(node)) return;
    if (late) this.#late.push({ node, hadRoot: this.hasRoot });
    else if (!this.#passed.includes(node)) this.#passed.push(node);
  }

  /** A node asked as `role` is not asked again in this fetch. */
  leave(node: NodeId, role: AskRole | 'origin', late = false): void {
    if (role === 'parent') this.shun(node);
    else this.passOver(node, late);
  }

  /**
   * Goes to the origin directly, past all owners and roots: the origin may answer this node
   * differently.
   */
  turnToOrigin(): void {
    this.#originOnly = true;
  }

  /** The origin itself refused one credential. Another one is sent by owners and roots again. */
  turnBack(): void {
    this.#originOnly = false;
  }

  /** Past all owners, for as long as there is a root. */
  turnToRoots(): void {
    if (this.hasRoot) for (const node of this.#ownerRank()) this.passOver(node, true);
  }

  /** This node is no owner of the shard any more: the next in rank reads it from the root. */
  yield(): void {
    this.#isYielded = true;
  }

  get isYielded(): boolean {
    return this.#isYielded;
  }

  /** A parent is not asked again, nor named by an owner. */
  shun(node: NodeId): void {
    if (!this.#excluded.includes(node)) this.#excluded.push(node);
    if (this.#excluded.length > EXCLUDES_MAX) this.#excluded.shift();
  }

  /**
   * `by` asks this node as owner and names the owners that it has passed over. While there is a
   * root, this is believed at once: it costs the root one more shard. Without roots it would cost
   * the origin one, so ACCUSERS_MIN nodes have to agree (or all there are). If all roots are lost,
   * it is not believed: the accusers may only have been impatient with nodes that wait for the
   * roots. Returns true if this node has passed over an owner because of it.
   */
  accuse(by: NodeId, accused: readonly NodeId[]): boolean {
    const { self, membership } = this.#shared;
    const members = membership();
    const rank = this.#ownerRank();
    const place = rank.indexOf(self.node);
    const { hasRoot } = this;
    const better = (place < 0 ? rank : rank.slice(0, place)).filter(
      (node) => accused.includes(node) && !this.#isPassed(node, hasRoot),
    );
    if (better.length === 0 || (!hasRoot && members.roots.size > 0)) return false;
    const accusers = (this.#accusers ??= new Set());
    accusers.add(by);
    const needed =
      members.roots.size > 0 ? 1 : Math.min(ACCUSERS_MIN, Math.max(1, members.owners.size - 2));
    if (accusers.size < needed) return false;
    for (const node of better) this.passOver(node, true);
    return true;
  }

  /**
   * Whether a node may be left only for being late. While there is a root, no node goes to the
   * origin for that.
   */
  mayLeave(node: NodeId, role: AskRole | 'origin'): boolean {
    if (role === 'parent') return true;
    if (role === 'root') return this.#without(node, () => this.hasRoot);
    return !this.hasRoot || !this.isLast(node);
  }

  /** Whether without this owner or root there is only the origin to ask. */
  isLast(node: NodeId): boolean {
    return this.#without(node, () => this.next().node === null);
  }

  /** What would hold were `node` passed over. */
  #without(node: NodeId, what: () => boolean): boolean {
    const before = this.#passed.length;
    this.#passed.push(node);
    const is = what();
    this.#passed.length = before;
    return is;
  }

  #isPassed(node: NodeId, hasRoot: boolean): boolean {
    return (
      this.#passed.includes(node) ||
      this.#late.some((late) => late.node === node && late.hadRoot === hasRoot)
    );
  }

  /** The first usable holder. */
  #holder(): NodeId | null {
    const { self, membership, health, nowMs } = this.#shared;
    for (const node of this.#holders)
      if (
        node !== self.node &&
        !this.#passed.includes(node) &&
        membership().byNode.has(node) &&
        health.usable(node, nowMs())
      )
        return node;
    return null;
  }

  /** The first usable root, slow or not. */
  #root(): NodeId | null {
    const { self, membership, health, nowMs } = this.#shared;
    const late = this.#late;
    if (this.#originOnly) return null;
    return (
      membership()
        .roots.top(this.#shard)
        .find(
          (node) =>
            node === self.node ||
            (!this.#passed.includes(node) &&
              !late.some((one) => one.node === node) &&
              health.usable(node, nowMs())),
        ) ?? null
    );
  }

  /** Another node to ask as owner; null where this node is the owner, or none is usable. */
  #owner(members: Membership, hasRoot: boolean): NodeId | null {
    const { self } = this.#shared;
    for (const ranking of members.ownersFor(this.#shard, self.zone)) {
      const owner = this.#firstUsable(ranking, hasRoot);
      if (owner !== null && owner !== self.node) return owner;
    }
    return null;
  }

  #ownerRank(): readonly NodeId[] {
    return this.#shared.membership().ownerRank(this.#shard, this.#shared.self.zone);
  }

  /** The node whose place this one has, if it is usable, else the first in rank that is. */
  #firstUsable(owners: Ranking, hasRoot: boolean): NodeId | null {
    const { self, health, nowMs } = this.#shared;
    const now = nowMs();
    const rank = owners.top(this.#shard);
    const isUsable = (node: NodeId): boolean =>
      node === self.node
        ? !this.#isYielded
        : !this.#isPassed(node, hasRoot) && health.usable(node, now);
    const own = rank[ownerPlace(this.#shard, self.node, rank, owners.size)];
    return own !== undefined && isUsable(own)
      ? own
      : (rank.find((node, place) => place < RANK_DEPTH && isUsable(node)) ?? null);
  }
}
