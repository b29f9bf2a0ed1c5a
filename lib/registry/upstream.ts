import { answeringHost } from '../docker-hub.ts';
import { allowListOf, type AllowConfig, type AllowList, type RegistryEntry } from './allow.ts';
import { bareHost, splitUrl } from './url.ts';

interface Upstream {
  /** `scheme://host[:port]` */
  origin: string;
  host: string;
  hostname: string;
  p2pHost: string | null;
}

/** Which registry a request to this node is meant for (docs/SPEC.md 2.1). */
class Upstreams {
  readonly #allow: AllowList;
  readonly #upstreams: Upstream[];
  readonly #fallback: string | null;

  constructor(config: AllowConfig) {
    this.#allow = allowListOf(config);
    this.#upstreams = config.registries.map(upstreamOf);
    const unnamed = this.#upstreams.find((upstream) => upstream.p2pHost === null);
    this.#fallback =
      (unnamed ?? (this.#upstreams.length === 1 ? this.#upstreams[0] : undefined))?.origin ?? null;
  }

  /**
   * The origin (`scheme://host[:port]`) of the registry, or null when none is known: by `ns`, else
   * by the Host rule, else by the configured map, else the default. The Host rule steps back where
   * it leads to a host that may not be dialled and the map knows better.
   */
  find(ns: string | null, hostHeader: string): string | null {
    if (ns !== null) return this.#byNamespace(ns);
    return this.#byName(hostHeader.toLowerCase()) ?? this.#fallback;
  }

  /** What a P2P host stands for, by the Host rule or the map. */
  #byName(host: string): string | null {
    const ruled = this.#byHostRule(host);
    if (ruled !== null && this.#mayDial(ruled)) return ruled;
    return this.#byP2pHost(host) ?? ruled;
  }

  #byNamespace(ns: string): string | null {
    const url = URL.parse(`https://${ns}`);
    if (url === null || !/^[a-z0-9._:[\]-]+$/i.test(ns)) return null;
    const host = answeringHost(url.host);
    const known = this.#upstreams.find(
      (upstream) => upstream.host === host || upstream.host === ns.toLowerCase(),
    );
    // A rewritten image is asked for under its P2P host, which containerd hands on as the
    // namespace.
    return known?.origin ?? this.#byName(ns.toLowerCase()) ?? `https://${host}`;
  }

  /** `NAME.distributed.REGION...[:port]` stands for `NAME.REGION...`. */
  #byHostRule(host: string): string | null {
    const [, name, region] =
      /^([a-z0-9_-]+)\.distributed\.([a-z0-9_.-]+?)\.?(?::\d+)?$/.exec(host) ?? [];
    if (name === undefined || region === undefined) return null;
    const derived = `${name}.${region}`;
    const by = (key: 'host' | 'hostname' | 'p2pHost'): Upstream | undefined =>
      this.#upstreams.find((upstream) => upstream[key] === derived);
    const known = by('host') ?? by('hostname') ?? by('p2pHost');
    return known?.origin ?? `https://${answeringHost(derived)}`;
  }

  #byP2pHost(host: string): string | null {
    const bare = host.replace(/:\d+$/, '');
    const named =
      this.#upstreams.find((upstream) => upstream.p2pHost === host) ??
      this.#upstreams.find((upstream) => upstream.p2pHost === bare);
    if (named !== undefined) return named.origin;
    // A map entry with a port also answers clients that reach the same name at another one, if it
    // alone has that name.
    const sameName = this.#upstreams.filter(
      (upstream) => upstream.p2pHost?.replace(/:\d+$/, '') === bare,
    );
    return sameName.length === 1 ? sameName[0]!.origin : null;
  }

  #mayDial(origin: string): boolean {
    const { hostname, port } = splitUrl(origin);
    return this.#allow.mayAsk(hostname, port);
  }
}

/**
 * The upstreams of a config; made once for each config object, since every request asks for them.
 */
export function upstreamsOf(config: AllowConfig): Upstreams {
  let upstreams = made.get(config);
  if (upstreams === undefined) made.set(config, (upstreams = new Upstreams(config)));
  return upstreams;
}

const made = new WeakMap<AllowConfig, Upstreams>();

function upstreamOf(entry: RegistryEntry): Upstream {
  const { origin, host, hostname } = splitUrl(entry.upstream);
  const p2pHost =
    entry.p2pHost === undefined || entry.p2pHost === '*' || entry.p2pHost === ''
      ? null
      : entry.p2pHost.toLowerCase();
  return { origin, host, hostname: bareHost(hostname), p2pHost };
}
