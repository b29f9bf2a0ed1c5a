import type { Clock, Timer } from '../clock.ts';
import { DNS_REFRESH_MS, MEMBERSHIP_START_TIMEOUT_MS } from './limits.ts';
import { rootService } from './kubernetes/endpoints.ts';
import {
  memberAddress,
  membershipView,
  type Membership,
  type MembershipView,
  ViewTeller,
} from './membership.ts';

/**
 * The A and AAAA addresses of a host. Resolves with an empty list when it has none or does not
 * exist; rejects when the lookup fails.
 */
type Resolve = (host: string) => Promise<string[]>;

interface DnsMembershipOptions {
  /**
   * Host name of the agents' headless service. The roots' name has `-root` after the first label.
   */
  service: string;
  /** p2p port of every node. */
  port: number;
  resolve: Resolve;
  clock: Clock;
  /** Called when the name cannot be resolved; the last view stays in force. */
  onError?: (error: Error) => void;
}

/**
 * The addresses behind the name of a headless service, resolved every DNS_REFRESH_MS. Zones are
 * unknown.
 */
export class DnsMembership implements Membership {
  readonly #options: DnsMembershipOptions;
  #teller: ViewTeller | null = null;
  #timer: Timer | null = null;
  #stopped = false;

  constructor(options: DnsMembershipOptions) {
    this.#options = options;
  }

  async start(onChange: (view: MembershipView) => void): Promise<void> {
    this.#teller = new ViewTeller(onChange);
    const late = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(MEMBERSHIP_START_TIMEOUT_MS, late.resolve);
    await Promise.race([this.#refresh(), late.promise]);
    timer.cancel();
  }

  stop(): Promise<void> {
    this.#stopped = true;
    this.#teller?.close();
    this.#timer?.cancel();
    return Promise.resolve();
  }

  async #refresh(): Promise<void> {
    const { service, port, resolve, clock, onError } = this.#options;
    const members = async (host: string) =>
      (await resolve(host)).map((address) => ({ node: memberAddress(address, port), zone: null }));
    try {
      const [agents, roots] = await Promise.all([members(service), members(rootService(service))]);
      // An empty answer more often means that the name server lost its zone than that the swarm is
      // empty; acting on it would send every node to the origin.
      if (agents.length === 0) throw new Error(`${service} has no address`);
      this.#teller?.offer(membershipView(agents, roots));
    } catch (error) {
      onError?.(error instanceof Error ? error : new Error(String(error)));
    }
    if (!this.#stopped) this.#timer = clock.after(DNS_REFRESH_MS, () => void this.#refresh());
  }
}

/** The part of `node:dns/promises` in use. */
type AddressLookup = (
  host: string,
  options: { all: true },
) => Promise<{ address: string; family: number }[]>;

/**
 * `Resolve` by the system's resolver (`lookup` of node:dns/promises), so that search domains and
 * short service names work as in any pod. A node with both address families is listed once, by
 * IPv4.
 */
export function systemResolve(lookup: AddressLookup): Resolve {
  return async (host) => {
    const found = await lookup(host, { all: true }).catch((error: unknown) => {
      if ((error as { code?: string }).code === 'ENOTFOUND') return [];
      throw error;
    });
    const four = found.filter(({ family }) => family === 4);
    return (four.length > 0 ? four : found).map(({ address }) => address);
  };
}
