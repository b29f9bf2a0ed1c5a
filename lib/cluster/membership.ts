/** One node as others reach it. */
export interface Member {
  /** `address:port` of its p2p port; `[address]:port` for IPv6. */
  readonly node: string;
  /** Topology zone (`topology.kubernetes.io/zone`), or null when it is not known. */
  readonly zone: string | null;
}

/**
 * Everybody who is there, the reader itself included when it is listed. Each list sorted by `node`,
 * without repeats.
 */
export interface MembershipView {
  readonly agents: Member[];
  readonly roots: Member[];
}

/**
 * Who is in the swarm. An implementation tells the whole view, first when it is known and then
 * after every change of it; when its source fails it keeps quiet, so the last view stays in force.
 */
export interface Membership {
  /**
   * Begins to watch. Resolves once the first view has been told or, when the source does not answer
   * in time, without one: a node must start while its API server is down. Never called twice.
   */
  start(onChange: (view: MembershipView) => void): Promise<void>;
  /**
   * Ends the watch: no `onChange` once it has been called. Harmless before `start` and when called
   * twice.
   */
  stop(): Promise<void>;
}

/**
 * A canonical view: sorted by `node`; a node listed twice counts once, and one that is a root is
 * not an agent as well.
 */
export function membershipView(agents: Iterable<Member>, roots: Iterable<Member>): MembershipView {
  const rootMembers = sortedMembers(roots);
  const isRoot = new Set(rootMembers.map((member) => member.node));
  return {
    agents: sortedMembers(agents).filter((member) => !isRoot.has(member.node)),
    roots: rootMembers,
  };
}

/** Whether two canonical views say the same. */
export function sameView(one: MembershipView, other: MembershipView): boolean {
  return sameMembers(one.agents, other.agents) && sameMembers(one.roots, other.roots);
}

/** Tells views on, but only those that differ from the one told before. */
export class ViewTeller {
  #last: MembershipView | null = null;
  #tell: ((view: MembershipView) => void) | null;

  constructor(tell: (view: MembershipView) => void) {
    this.#tell = tell;
  }

  /** Tells `view` unless it says nothing new or the teller is closed. */
  offer(view: MembershipView): void {
    if (this.#tell === null || (this.#last !== null && sameView(this.#last, view))) return;
    this.#last = view;
    this.#tell(view);
  }

  close(): void {
    this.#tell = null;
  }
}

/** `address:port`, with the brackets an IPv6 address needs. */
export function memberAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function sortedMembers(members: Iterable<Member>): Member[] {
  const byNode = new Map<string, Member>();
  for (const member of members) {
    // A node may be listed by a source that knows its zone and by one that does not.
    if (byNode.get(member.node)?.zone == null) byNode.set(member.node, member);
  }
  return [...byNode.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}

function sameMembers(one: readonly Member[], other: readonly Member[]): boolean {
  return (
    one.length === other.length &&
    one.every((member, at) => member.node === other[at]!.node && member.zone === other[at]!.zone)
  );
}
