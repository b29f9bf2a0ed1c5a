import type { Clock, Timer } from '../clock.ts';
import { DNS_REFRESH_MS, MEMBERSHIP_START_TIMEOUT_MS } from '../limits.ts';
import { rootService } from './kubernetes-endpoints.ts';
import { memberAddress, membershipView, type Membership, type MembershipView, ViewTeller } from './membership.ts';

/** The A and AAAA addresses of a host; an empty list when it has none or does not exist; rejects when that cannot be learnt now. */
export type Resolve = (host: string) => Promise<string[]>;

export interface DnsMembershipOptions {
  /** Host name of the agents' headless service; the roots' has `-root` after its first label. */
  service: string;
  /** p2p port of every node. */
  port: number;
  resolve: Resolve;
  clock: Clock;
  /** Told when the name cannot be resolved; the last view stands. */
  onError?: (error: Error) => void;
}

/** The addresses behind a headless service's name, resolved again every DNS_REFRESH_MS; zones are not known. */
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
    const members = async (host: string) => (await resolve(host)).map((address) => ({ node: memberAddress(address, port), zone: null }));
    try {
      const [agents, roots] = await Promise.all([members(service), members(rootService(service))]);
      this.#teller?.offer(membershipView(agents, roots));
    } catch (error) {
      onError?.(error instanceof Error ? error : new Error(String(error)));
    }
    if (!this.#stopped) this.#timer = clock.after(DNS_REFRESH_MS, () => void this.#refresh());
  }
}

/** The part of `node:dns/promises` that is used. */
export interface AddressLookup {
  resolve4(host: string): Promise<string[]>;
  resolve6(host: string): Promise<string[]>;
}

/** What says that a name has no such address, as opposed to a name server that does not answer. */
const NO_ADDRESS = new Set(['ENOTFOUND', 'ENODATA']);

/** `Resolve` by a DNS resolver (`new Resolver()` of node:dns/promises); it asks the name server, not /etc/hosts. */
export function dnsResolve(lookup: AddressLookup): Resolve {
  const orNone = (error: unknown): string[] => {
    if (NO_ADDRESS.has((error as { code?: string }).code ?? '')) return [];
    throw error;
  };
  return async (host) => {
    const [four, six] = await Promise.all([lookup.resolve4(host).catch(orNone), lookup.resolve6(host).catch(orNone)]);
    // A node of two families must not be counted twice.
    return four.length > 0 ? four : six;
  };
}
