import ipaddr from 'ipaddr.js';
import { bareHost, splitUrl } from './url.ts';

/**
 * A registry this node stands before; `p2pHost` is how clients name it here, none or `*` for the
 * default.
 */
export interface RegistryEntry {
  p2pHost?: string;
  upstream: string;
  /** Mirrors of the upstream. */
  upstreams?: readonly string[] | undefined;
  /** Host globs of its object storage, optionally with `:port`. */
  storage?: readonly string[];
}

/**
 * The origins of a registry, in the order in which they are tried: the upstream, then its mirrors,
 * unless these name the upstream themselves.
 */
export function originsOf({ upstream, upstreams = [] }: RegistryEntry): readonly string[] {
  return upstreams.includes(upstream) ? upstreams : [upstream, ...upstreams];
}

/** The part of the config that says whom this node may dial. */
export interface AllowConfig {
  registries: readonly RegistryEntry[];
  /** Host globs, optionally with `:port`. */
  allow: readonly string[];
}

interface Entry {
  matches: (host: string) => boolean;
  /** An IP literal in its normal form. */
  address: string | null;
  /** null: any port. */
  port: number | null;
}

/**
 * Whom this node may dial (docs/SPEC.md 2.6): host globs and configured upstreams. Loopback,
 * link-local, unspecified and cloud metadata addresses only when that very address, or an upstream
 * of that very name, is listed.
 */
export class AllowList {
  readonly #entries: Entry[];
  readonly #upstreams: Set<string>;

  constructor(config: AllowConfig) {
    const upstreams = config.registries.flatMap((entry) => originsOf(entry).map(splitUrl));
    this.#upstreams = new Set(upstreams.map((url) => `${bareHost(url.hostname)} ${url.port}`));
    const listed = upstreams.map((url) => entryOf(bareHost(url.hostname), url.port));
    const storage = config.registries.flatMap((entry) => entry.storage ?? []);
    this.#entries = [...[...config.allow, ...storage].map(parseEntry), ...listed];
  }

  /**
   * Whether the list names `hostname` (brackets and trailing dot allowed) at `port`. An address
   * must also be `dialable`.
   */
  names(hostname: string, port: number): boolean {
    const host = bareHost(hostname.toLowerCase());
    return this.#entries.some(
      (entry) => (entry.port === null || entry.port === port) && entry.matches(host),
    );
  }

  /**
   * Whether a connection to `hostname`, which resolves to `addresses`, may be made: all of them
   * must be fit to dial.
   */
  dialable(hostname: string, port: number, addresses: readonly string[]): boolean {
    if (!this.names(hostname, port)) return false;
    if (this.#upstreams.has(`${bareHost(hostname.toLowerCase())} ${port}`)) return true;
    return (
      addresses.length > 0 && addresses.every((address) => this.#addressAllowed(address, port))
    );
  }

  /**
   * What can be said without asking DNS: the name is listed and, if it is an address, may be
   * dialled.
   */
  mayAsk(hostname: string, port: number): boolean {
    const host = bareHost(hostname);
    return ipaddr.isValid(host)
      ? this.dialable(hostname, port, [host])
      : this.names(hostname, port);
  }

  #addressAllowed(address: string, port: number): boolean {
    const plain = normalAddress(address);
    if (plain === null) return false;
    if (!isGuarded(plain)) return true;
    const text = plain.toString();
    return this.#entries.some(
      (entry) => entry.address === text && (entry.port === null || entry.port === port),
    );
  }
}

export type HostMatcher = (hostname: string, port: number) => boolean;

/** Whether one of `globs`, which may have a port, names a host (brackets allowed) at a port. */
export function hostMatcher(globs: readonly string[]): HostMatcher {
  const entries = globs.map(parseEntry);
  return (hostname, port) => {
    const host = bareHost(hostname.toLowerCase());
    return entries.some(
      (entry) => (entry.port === null || entry.port === port) && entry.matches(host),
    );
  };
}

/** The list of a config; made once for each config object, since every request asks for it. */
export function allowListOf(config: AllowConfig): AllowList {
  let list = lists.get(config);
  if (list === undefined) lists.set(config, (list = new AllowList(config)));
  return list;
}

/** Whether `hostname` at `port` may be dialled, given the addresses it resolves to. */
export function dialable(
  hostname: string,
  port: number,
  resolvedAddresses: readonly string[],
  config: AllowConfig,
): boolean {
  return allowListOf(config).dialable(hostname, port, resolvedAddresses);
}

const lists = new WeakMap<AllowConfig, AllowList>();

/** Cloud metadata services outside the link-local ranges: Alibaba Cloud's and, over IPv6, AWS's. */
const METADATA_ADDRESSES = new Set(['100.100.100.200', 'fd00:ec2::254']);
const GUARDED_RANGES = new Set(['loopback', 'linkLocal', 'unspecified', 'broadcast', 'multicast']);

function isGuarded(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  const plain = address.toString();
  // 0.0.0.0/8 reaches this host on Linux; ipaddr.js calls all of it unspecified.
  return GUARDED_RANGES.has(address.range()) || METADATA_ADDRESSES.has(plain);
}

/**
 * An address with the IPv4 address inside it brought out, where IPv6 carries one (mapped: RFC 4291;
 * NAT64: RFC 6052; 6to4: RFC 3056; compatible: RFC 4291).
 */
function normalAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  const bare = text.replace(/%.*$/, '');
  if (!ipaddr.isValid(bare)) return null;
  const address = ipaddr.parse(bare);
  if (address.kind() === 'ipv4') return address;
  const v6 = address as ipaddr.IPv6;
  if (v6.isIPv4MappedAddress()) return v6.toIPv4Address();
  const bytes = v6.toByteArray();
  if (v6.range() === 'rfc6052') return new ipaddr.IPv4(bytes.slice(12));
  if (v6.range() === '6to4') return new ipaddr.IPv4(bytes.slice(2, 6));
  const compatible =
    bytes.slice(0, 12).every((byte) => byte === 0) &&
    bytes.slice(12, 15).some((byte) => byte !== 0);
  return compatible ? new ipaddr.IPv4(bytes.slice(12)) : v6;
}

function parseEntry(glob: string): Entry {
  const [, host = '', portText] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(glob.toLowerCase()) ?? [];
  return entryOf(bareHost(host), portText === undefined ? null : Number(portText));
}

function entryOf(host: string, port: number | null): Entry {
  if (ipaddr.isValid(host)) {
    const address = normalAddress(host)?.toString() ?? host;
    return { port, address, matches: (asked) => normalAddress(asked)?.toString() === address };
  }
  const pattern = host
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const matcher = new RegExp(`^${pattern}$`);
  return { port, address: null, matches: (asked) => matcher.test(asked) };
}
