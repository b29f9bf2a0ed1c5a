import { type Membership, type MembershipView, membershipView } from './membership.ts';

/** The `peers` and `roots` of the config. Zones are unknown. */
export class StaticMembership implements Membership {
  readonly #view: MembershipView;
  #stopped = false;

  /** Both lists hold `address:port`. */
  constructor(peers: readonly string[], roots: readonly string[]) {
    const members = (nodes: readonly string[]) => nodes.map((node) => ({ node, zone: null }));
    this.#view = membershipView(members(peers), members(roots));
  }

  start(onChange: (view: MembershipView) => void): Promise<void> {
    if (!this.#stopped) onChange(this.#view);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return Promise.resolve();
  }
}
