import { canonicalHost } from './image.ts';

/** How the registries that match `host` are accelerated. */
interface RegistryRule {
  /**
   * Host glob, optionally with `:port`. `*` matches any characters including dots, `?` matches one.
   * Without a port it matches hosts without one.
   */
  readonly host: string;
  /**
   * `rewrite`: images get the P2P host. `mirror`: images stay unchanged, and the runtime's mirror
   * configuration leads to the proxy.
   */
  readonly mode: 'rewrite' | 'mirror';
  /**
   * The P2P host with its port. Null: made by ACR's rule, `NAME.REGION...` ->
   * `NAME.distributed.REGION...:<p2pPort>`.
   */
  readonly p2pHost: string | null;
}

/** The registry rules in order of precedence, and the proxy port of ACR's rule. */
export interface RegistryRules {
  readonly registries: readonly RegistryRule[];
  readonly p2pPort: number;
  /**
   * The P2P hosts that the nodes' runtimes are configured for. Images are rewritten to no other.
   * Left out: any P2P host.
   */
  readonly p2pHosts?: readonly string[];
  /** Globs of images that keep their names, as in pod specs: images that nodes have preloaded. */
  readonly excludedImages?: readonly string[];
  /**
   * `matchImages` of the kubelet's image credential providers. Pods whose pull secrets hold no
   * credentials for such images keep their names: the providers do not know P2P hosts.
   */
  readonly credentialProviderImages?: readonly string[];
}

/** The label that marks a P2P host in ACR's rule (docs/SPEC.md). */
const P2P_LABEL = 'distributed';

/**
 * The P2P host (`host:port`) for images of registry `host`. Null when images are not rewritten: no
 * rule matches, the first matching rule is `mirror`, `host` already is a P2P host, or nodes are not
 * configured for the P2P host.
 */
export function p2pHostOf(host: string, rules: RegistryRules): string | null {
  const target = p2pTarget(host, rules);
  return target === null || !target.isConfigured ? null : target.p2pHost;
}

/** The P2P host by the rules alone, and whether nodes are configured for it. */
export function p2pTarget(
  host: string,
  rules: RegistryRules,
): { p2pHost: string; isConfigured: boolean } | null {
  const canonical = canonicalHost(host);
  if (isP2pHost(canonical, rules)) return null;
  const rule = rules.registries.find((candidate) => hostFits(candidate.host, canonical));
  if (rule === undefined || rule.mode === 'mirror') return null;
  const p2pHost = rule.p2pHost ?? acrP2pHost(canonical, rules.p2pPort);
  if (p2pHost === null) return null;
  // A glob comes from the key of a pull secret.
  const isConfigured =
    rules.p2pHosts === undefined ||
    rules.p2pHosts.some((known) =>
      p2pHost.includes('*') ? hostFits(p2pHost, known) : known === p2pHost,
    );
  return { p2pHost, isConfigured };
}

/** Whether `host` is a P2P host, of this proxy port or another. */
export function isP2pHost(host: string, rules: RegistryRules): boolean {
  return host.split('.')[1] === P2P_LABEL || rules.registries.some((rule) => rule.p2pHost === host);
}

/** Whether an image, as written in the pod, is excluded from rewriting. */
export function isExcluded(image: string, { excludedImages = [] }: RegistryRules): boolean {
  return excludedImages.some((glob) => globFits(glob, image));
}

/** Whether the host glob of a rule matches a host (both with their port, if any). */
export function hostFits(glob: string, host: string): boolean {
  const pattern = splitPort(canonicalHost(glob));
  const name = splitPort(canonicalHost(host));
  return pattern.port === name.port && globFits(pattern.name, name.name);
}

function acrP2pHost(host: string, p2pPort: number): string | null {
  const { name, port } = splitPort(host);
  const dot = name.indexOf('.');
  // The proxy reverses the rule to https on the default port, so it cannot reach a registry on
  // another port.
  if (dot <= 0 || port !== '' || name.startsWith('[') || /^[0-9.]+$/.test(name)) return null;
  return `${name.slice(0, dot)}.${P2P_LABEL}${name.slice(dot)}:${p2pPort}`;
}

function splitPort(host: string): { name: string; port: string } {
  const found = /^(.*):([0-9]+)$/.exec(host);
  // An IPv6 address contains colons; only what follows the bracket is a port.
  return found === null || (host.startsWith('[') && !found[1]!.endsWith(']'))
    ? { name: host, port: '' }
    : { name: found[1]!, port: found[2]! };
}

/**
 * Greedy matching that backtracks only to the last star, so the time is bounded by the product of
 * the lengths.
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
