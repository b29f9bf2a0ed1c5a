import { hash } from 'node:crypto';
import { packChange, unpackChange, type MembersChange } from '../wire/members.ts';
import { FEED_HISTORY } from './limits.ts';
import type { Member, MembershipView } from './membership.ts';

/** A list of members with its hash. */
interface ListVersion {
  readonly view: MembershipView;
  /** SHA-256 of the canonical text, hex: equal on all nodes with the same list. */
  readonly hash: string;
  /** Version of the source that the list comes from; grows unless the source was restored. */
  readonly version: number;
}

/**
 * The list of members that a node has, and the last FEED_HISTORY ones before it: a node that has
 * one of those gets only the difference.
 */
export class MemberBook {
  #current: ListVersion | null = null;
  readonly #before = new Map<string, MembershipView>();
  /** Packed changes to the current list, by the hash of the list that they change. */
  readonly #packed = new Map<string, string>();

  get current(): ListVersion | null {
    return this.#current;
  }

  /** Takes a list as the source reports it; whether it differs from the last one. */
  take(view: MembershipView, version: number): boolean {
    return this.#replace({ view, version, hash: hashOf(view) });
  }

  /**
   * The current list after a packed change; null when the change is invalid, is for another list,
   * or does not lead to a list with `listHash`.
   */
  changed(packed: string, version: number, listHash: string): ListVersion | null {
    const change = unpackChange(packed);
    if (change === null || (!change.whole && this.#current === null)) return null;
    const view = apply(change, this.#current?.view ?? { agents: [], roots: [] });
    return hashOf(view) === listHash ? { view, version, hash: listHash } : null;
  }

  /** Takes a list that `changed` returned, or the current one with another version. */
  adopt(list: ListVersion): boolean {
    return this.#replace(list);
  }

  /** The packed change from the list with the hash `have` to the current one. */
  changeFrom(have: string): string {
    const { view } = this.#current!;
    const base = this.#before.get(have) ?? null;
    const key = base === null ? '' : have;
    let packed = this.#packed.get(key);
    if (packed === undefined) this.#packed.set(key, (packed = packChange(difference(base, view))));
    return packed;
  }

  #replace(list: ListVersion): boolean {
    const last = this.#current;
    this.#current = list;
    if (last?.hash === list.hash) return false;
    if (last !== null) this.#before.set(last.hash, last.view);
    this.#before.delete(list.hash);
    const [oldest] = this.#before.keys();
    if (this.#before.size > FEED_HISTORY) this.#before.delete(oldest!);
    this.#packed.clear();
    return true;
  }
}

function hashOf({ agents, roots }: MembershipView): string {
  let text = '';
  for (const { node, zone } of agents) text += `${node} ${zone ?? ''}\n`;
  text += '\n';
  for (const { node, zone } of roots) text += `${node} ${zone ?? ''}\n`;
  return hash('sha256', text, 'hex');
}

function difference(base: MembershipView | null, view: MembershipView): MembersChange {
  if (base === null) return { whole: true, left: [], came: view };
  const [agents, roots] = [compare(base.agents, view.agents), compare(base.roots, view.roots)];
  return {
    whole: false,
    left: [...agents.left, ...roots.left],
    came: { agents: agents.came, roots: roots.came },
  };
}

/** One walk along two sorted lists; a member whose zone changed leaves and comes. */
function compare(
  old: readonly Member[],
  now: readonly Member[],
): { left: string[]; came: Member[] } {
  const [left, came]: [string[], Member[]] = [[], []];
  let [at, to] = [0, 0];
  while (at < old.length || to < now.length) {
    const [before, after] = [old[at], now[to]];
    const isGone = after === undefined || (before !== undefined && before.node < after.node);
    const isNew = before === undefined || (after !== undefined && after.node < before.node);
    if (isGone) left.push(before!.node);
    else if (isNew) came.push(after);
    else if (before.zone !== after.zone) {
      left.push(before.node);
      came.push(after);
    }
    if (!isNew) at++;
    if (!isGone) to++;
  }
  return { left, came };
}

/**
 * The list after a change. It is canonical if the change is one that `difference` made; the hash
 * tells.
 */
function apply({ whole, left, came }: MembersChange, base: MembershipView): MembershipView {
  if (whole) return { agents: [...came.agents], roots: [...came.roots] };
  const gone = new Set(left);
  const after = (members: readonly Member[], more: readonly Member[]): Member[] => {
    const stay = members.filter(({ node }) => !gone.has(node));
    return more.length === 0 ? stay : [...stay, ...more].sort(byName);
  };
  return { agents: after(base.agents, came.agents), roots: after(base.roots, came.roots) };
}

function byName(one: Member, other: Member): number {
  return one.node < other.node ? -1 : 1;
}
