import { canonicalHost } from './image.ts';

/** How one kind of registry is accelerated. */
export interface RegistryRule {
  /**
   * Host glob, optionally with `:port`: `*` stands for any characters, dots included, `?` for one.
   * Without a port it fits hosts without one.
   */
  readonly host: string;
  /**
   * `rewrite`: images get the P2P host; `mirror`: they stay as they are, since the container
   * runtime's mirror configuration alone leads it to the proxy.
   */
  readonly mode: 'rewrite' | 'mirror';
  /**
   * The P2P host with its port; null: made by ACR's rule, `NAME.REGION...` ->
   * `NAME.distributed.REGION...:<p2pPort>`.
   */
  readonly p2pHost: string | null;
}

/** Which registries are accelerated, in order of precedence, and the proxy port of ACR's rule. */
export interface RegistryRules {
  readonly registries: readonly RegistryRule[];
  readonly p2pPort: number;
}

/** The label that marks a P2P address (the seed's address rule). */
const P2P_LABEL = 'distributed';

/**
 * The P2P host (`host:port`) by which images of registry `host` are pulled; null when it is not to
 * be rewritten: no rule fits, the first that fits says `mirror`, or it already is a P2P host.
 */
export function p2pHostOf(host: string, rules: RegistryRules): string | null {
  const canonical = canonicalHost(host);
  if (isP2pHost(canonical, rules)) return null;
  const rule = rules.registries.find((candidate) => hostFits(candidate.host, canonical));
  if (rule === undefined || rule.mode === 'mirror') return null;
  return rule.p2pHost ?? acrP2pHost(canonical, rules.p2pPort);
}

/** Whether `host` is the outcome of a rewriting, or looks like one of another proxy port. */
export function isP2pHost(host: string, rules: RegistryRules): boolean {
  return host.split('.')[1] === P2P_LABEL || rules.registries.some((rule) => rule.p2pHost === host);
}

/**
 * Whether the host glob of a rule fits a host (both with their port, if any). Linear in the length
 * of both but for few stars.
 */
export function hostFits(glob: string, host: string): boolean {
  const pattern = splitPort(canonicalHost(glob));
  const name = splitPort(canonicalHost(host));
  return pattern.port === name.port && globFits(pattern.name, name.name);
}

function acrP2pHost(host: string, p2pPort: number): string | null {
  const { name, port } = splitPort(host);
  const dot = name.indexOf('.');
  // The proxy undoes the rule toward https on the default port: it could not find a registry on
  // another one.
  if (dot <= 0 || port !== '' || name.startsWith('[') || /^[0-9.]+$/.test(name)) return null;
  return `${name.slice(0, dot)}.${P2P_LABEL}${name.slice(dot)}:${p2pPort}`;
}

function splitPort(host: string): { name: string; port: string } {
  const found = /^(.*):([0-9]+)$/.exec(host);
  // An IPv6 address has colons of its own; only what follows its bracket is a port.
  return found === null || (host.startsWith('[') && !found[1]!.endsWith(']'))
    ? { name: host, port: '' }
    : { name: found[1]!, port: found[2]! };
}

/**
 * Greedy matching with one step back to the last star: no backtracking beyond it, so no input takes
 * long.
 */
function globFits(glob: string, text: string): boolean {
  let [at, from, star, resume] = [0, 0, -1, 0];
  while (from < text.length) {
    const symbol = glob[at];
    if (symbol === '*') [star, resume, at] = [at, from, at + 1];
    else if (symbol === '?' || symbol === text[from]) [at, from] = [at + 1, from + 1];
    else if (star !== -1) [at, from, resume] = [star + 1, resume + 1, resume + 1];
    else return false;
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}
