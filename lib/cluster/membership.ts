import type { MembersQuery } from '../wire/members.ts';

/** A node as other nodes reach it. */
export interface Member {
  /** `address:port` of its p2p port; `[address]:port` for IPv6. */
  readonly node: string;
  /** Topology zone (`topology.kubernetes.io/zone`); null when unknown. */
  readonly zone: string | null;
}

/**
 * All members, including the reader if it is listed. Each list is sorted by `node` without
 * duplicates.
 */
export interface MembershipView {
  readonly agents: Member[];
  readonly roots: Member[];
}

/**
 * A source of swarm membership. An implementation reports the whole view, first when it is known
 * and then after each change. When its source fails it reports nothing, so the last view stays in
 * force.
 */
export interface Membership {
  /**
   * Starts to watch. Resolves after the first view, or without one when the source does not answer
   * in time: a node must start while its API server is down. Called at most once.
   */
  start(onChange: (view: MembershipView) => void): Promise<void>;
  /** Stops the watch; no `onChange` call follows. Safe before `start` and when called twice. */
  stop(): Promise<void>;
  /**
   * Answers another node that asks for the list; resolves within the time that it may be held.
   * Absent where every node asks the source.
   */
  answer?(query: MembersQuery): Promise<object>;
}

/** A canonical view: sorted by `node`, without duplicates; a root is not also an agent. */
export function membershipView(agents: Iterable<Member>, roots: Iterable<Member>): MembershipView {
  const rootMembers = sortedMembers(roots);
  const isRoot = new Set(rootMembers.map((member) => member.node));
  const sorted = sortedMembers(agents);
  return {
    agents: isRoot.size === 0 ? sorted : sorted.filter(({ node }) => !isRoot.has(node)),
    roots: rootMembers,
  };
}

/** Whether two canonical views are equal. */
export function sameView(one: MembershipView, other: MembershipView): boolean {
  return sameMembers(one.agents, other.agents) && sameMembers(one.roots, other.roots);
}

/** Forwards views, but only those that differ from the previous one. */
export class ViewTeller {
  #last: MembershipView | null = null;
  #tell: ((view: MembershipView) => void) | null;

  constructor(tell: (view: MembershipView) => void) {
    this.#tell = tell;
  }

  /** Forwards `view` unless it equals the previous one or the teller is closed. */
  offer(view: MembershipView): void {
    if (this.#tell === null || (this.#last !== null && sameView(this.#last, view))) return;
    this.#last = view;
    this.#tell(view);
  }

  close(): void {
    this.#tell = null;
  }
}

/** `address:port`, with brackets around an IPv6 address. */
export function memberAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function sortedMembers(members: Iterable<Member>): Member[] {
  const sorted: Member[] = [];
  for (const member of [...members].sort(byNode)) {
    const last = sorted.at(-1);
    if (last?.node !== member.node) sorted.push(member);
    // One source may know the zone of a node and another may not; prefer the entry with a zone.
    else if (last.zone === null) sorted[sorted.length - 1] = member;
  }
  return sorted;
}

/** Order of members in a view. */
export function byNode(a: Member, b: Member): number {
  return a.node < b.node ? -1 : a.node > b.node ? 1 : 0;
}

function sameMembers(one: readonly Member[], other: readonly Member[]): boolean {
  return (
    one.length === other.length &&
    one.every((member, at) => member.node === other[at]!.node && member.zone === other[at]!.zone)
  );
}
