import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, getCACertificates } from 'node:tls';
import ipaddr from 'ipaddr.js';
import { ShoalError } from '../errors.ts';
import { AllowList, originsOf } from '../registry/allow.ts';
import { parseDockerConfig, storedName, type DockerConfig } from '../registry/docker-config.ts';
import { bareHost, splitUrl, type SplitUrl } from '../registry/url.ts';

/** What the config says of the way to one registry (docs/CONFIG.md, `registries`). */
interface NetworkConfig {
  upstream: string;
  upstreams?: readonly string[] | undefined;
  storage?: readonly string[] | undefined;
  caFile?: string | undefined;
  clientCertFile?: string | undefined;
  clientKeyFile?: string | undefined;
  insecureSkipVerify?: boolean | undefined;
  proxy?: string | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  credentialsFile?: string | undefined;
}

/** The same with its files read; may cross a thread boundary. */
export interface Network {
  upstream: string;
  /** Mirrors of the upstream, reached in the same way. */
  upstreams?: readonly string[];
  /** Host globs of the registry's object storage, reached in the same way. */
  storage: readonly string[];
  /** PEM; trusted in addition to the system's authorities. */
  ca: string | null;
  cert: string | null;
  key: string | null;
  insecureSkipVerify: boolean;
  /** URL of an HTTP proxy; null: as HTTPS_PROXY and NO_PROXY say. */
  proxy: string | null;
  /** Sent to the registry, not to its storage. */
  headers: Readonly<Record<string, string>>;
  /** Of `credentialsFile`, those for the upstream and its mirrors. */
  credentials?: DockerConfig['entries'];
}

/** TLS options of a connection, as node:tls takes them. */
interface TlsOptions {
  ca?: string[];
  cert?: string;
  key?: string;
  rejectUnauthorized?: false;
}

/**
 * Reads the files that the entries name.
 * @throws ShoalError FILE_UNUSABLE
 */
export function readNetworks(entries: readonly NetworkConfig[]): Promise<Network[]> {
  return Promise.all(
    entries.map(async (entry) => {
      const network = {
        upstream: entry.upstream,
        upstreams: entry.upstreams ?? [],
        storage: entry.storage ?? [],
        ca: await textOf('caFile', entry.caFile),
        cert: await textOf('clientCertFile', entry.clientCertFile),
        key: await textOf('clientKeyFile', entry.clientKeyFile),
        insecureSkipVerify: entry.insecureSkipVerify === true,
        proxy: entry.proxy ?? null,
        headers: entry.headers ?? {},
        credentials: await credentialsOf(entry),
      };
      assertUsable(entry, network);
      return network;
    }),
  );
}

async function textOf(key: string, path: string | undefined): Promise<string | null> {
  if (path === undefined || path === '') return null;
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    const reason = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
    throw new ShoalError(
      'FILE_UNUSABLE',
      `cannot read ${key} ${path} of ProxyConfig.registries: ${reason}; ` +
        'correct the path or its permissions',
      { cause: thrown },
    );
  }
}

/** Credentials for other hosts stay behind: what is not there cannot be sent anywhere. */
async function credentialsOf(entry: NetworkConfig): Promise<DockerConfig['entries']> {
  const text = await textOf('credentialsFile', entry.credentialsFile);
  if (text === null) return [];
  const refuse = (problem: string): never => {
    throw new ShoalError(
      'FILE_UNUSABLE',
      `credentialsFile ${entry.credentialsFile} of ProxyConfig.registries (${entry.upstream}) ` +
        `cannot be used: ${problem}`,
    );
  };
  let config: DockerConfig;
  try {
    config = parseDockerConfig(text);
  } catch (thrown) {
    return refuse(`${(thrown as Error).message}; it must be a config.json as docker login writes`);
  }
  const hosts = originsOf(entry).map((origin) => splitUrl(origin).host);
  const names = new Set(hosts.map(storedName));
  const own = config.entries.filter(({ host }) => names.has(host));
  if (own.length === 0)
    return refuse(
      `its "auths" hold nothing for ${hosts.join(', ')}` +
        (config.store !== null || config.helpers.size > 0
          ? '; a node runs no credential helpers'
          : ''),
    );
  return own;
}

/** A connection would fail with these files, and not say which of them is wrong. */
function assertUsable(entry: NetworkConfig, { ca, cert, key }: Network): void {
  const refuse = (name: string, path: string | undefined, fix: string): never => {
    throw new ShoalError(
      'FILE_UNUSABLE',
      `${name} ${path} of ProxyConfig.registries (${entry.upstream}) cannot be used: ${fix}`,
    );
  };
  try {
    if (ca !== null) new X509Certificate(ca);
  } catch {
    refuse('caFile', entry.caFile, 'it must hold certificates, PEM');
  }
  try {
    if (cert !== null) new X509Certificate(cert);
  } catch {
    refuse('clientCertFile', entry.clientCertFile, 'it must hold a certificate, PEM');
  }
  try {
    if (cert !== null && key !== null) createSecureContext({ cert, key });
  } catch {
    refuse(
      'clientKeyFile',
      entry.clientKeyFile,
      'it must hold the private key of clientCertFile, PEM, without a passphrase',
    );
  }
}

/** How each upstream is reached. */
export class Networks {
  readonly #networks: { network: Network; homes: SplitUrl[]; storage: AllowList }[];
  readonly #env: NodeJS.ProcessEnv;

  constructor(networks: readonly Network[], env: NodeJS.ProcessEnv) {
    this.#networks = networks.map((network) => ({
      network,
      homes: originsOf(network).map(splitUrl),
      storage: new AllowList({ registries: [], allow: network.storage }),
    }));
    this.#env = env;
  }

  tlsFor(url: Pick<SplitUrl, 'hostname' | 'port'>): TlsOptions {
    const network = this.#find(url);
    if (network === null) return {};
    return {
      ...(network.ca === null ? {} : { ca: [...getCACertificates('default'), network.ca] }),
      ...(network.cert === null ? {} : { cert: network.cert }),
      ...(network.key === null ? {} : { key: network.key }),
      ...(network.insecureSkipVerify ? { rejectUnauthorized: false } : {}),
    };
  }

  /** Headers that the config adds to requests to a registry itself. */
  headersFor(url: SplitUrl): Readonly<Record<string, string>> {
    return this.#home((home) => home.origin === url.origin)?.headers ?? {};
  }

  /** Shoal's own credentials for a registry itself. */
  credentialsFor(url: SplitUrl): DockerConfig['entries'] {
    return this.#home((home) => home.origin === url.origin)?.credentials ?? [];
  }

  /** The URL of the proxy in front of a host; null: none. */
  proxyFor(url: Pick<SplitUrl, 'scheme' | 'hostname' | 'port'>): string | null {
    const configured = this.#find(url)?.proxy ?? null;
    if (configured !== null) return configured;
    const of = (name: string): string => this.#env[name.toLowerCase()] || this.#env[name] || '';
    const proxy = url.scheme === 'https' ? of('HTTPS_PROXY') : of('HTTP_PROXY');
    return proxy === '' || isBypassed(url, of('NO_PROXY')) ? null : proxy;
  }

  #find({ hostname, port }: Pick<SplitUrl, 'hostname' | 'port'>): Network | null {
    return (
      this.#home((home) => home.hostname === hostname && home.port === port) ??
      this.#networks.find(({ storage }) => storage.names(hostname, port))?.network ??
      null
    );
  }

  #home(isMeant: (home: SplitUrl) => boolean): Network | undefined {
    return this.#networks.find(({ homes }) => homes.some(isMeant))?.network;
  }
}

/**
 * Whether NO_PROXY names a host, as Go reads it (golang.org/x/net/http/httpproxy): `*`, names with
 * their subdomains, `.suffix` for subdomains alone, addresses, CIDR blocks, each with an optional
 * port. Loopback never goes through a proxy.
 */
function isBypassed(
  { hostname, port }: Pick<SplitUrl, 'hostname' | 'port'>,
  noProxy: string,
): boolean {
  const host = bareHost(hostname);
  const address = ipaddr.isValid(host) ? ipaddr.process(host) : null;
  if (host === 'localhost' || address?.range() === 'loopback') return true;
  return noProxy.split(/[\s,]+/).some((entry) => {
    const [, name = '', entryPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (name === '' || (entryPort !== undefined && Number(entryPort) !== port)) return false;
    if (name === '*') return true;
    if (address !== null) return inBlock(address, name);
    const suffix = name.replace(/^\*?\./, '');
    return host.endsWith(`.${suffix}`) || (host === suffix && !/^\*?\./.test(name));
  });
}

function inBlock(address: ipaddr.IPv4 | ipaddr.IPv6, block: string): boolean {
  if (ipaddr.isValid(block)) return ipaddr.process(block).toString() === address.toString();
  if (!ipaddr.isValidCIDR(block)) return false;
  const [base, bits] = ipaddr.parseCIDR(block);
  return base.kind() === address.kind() && address.match(base, bits);
}
