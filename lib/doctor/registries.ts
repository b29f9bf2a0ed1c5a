import type { Config } from '../config/schema.ts';
import { OriginClient } from '../origin/client.ts';
import { Networks, readNetworks, type Network } from '../origin/network.ts';
import { bareHost, splitUrl, type SplitUrl } from '../registry/url.ts';
import { tlsProblem } from '../tls/problem.ts';
import { addressesOf, ask } from './ask.ts';
import { failed, ok, reasonOf, warning, type Finding } from './finding.ts';
import { CHECK_TIMEOUT_MS } from './limits.ts';
import { checkRanges, type NamedImage } from './ranges.ts';

interface RegistryChecks {
  /** Images whose blobs may be read to try ranges. */
  images?: readonly NamedImage[];
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
}

/** Name, connection, TLS, answer and ranges of every configured registry. */
export async function checkRegistries(
  config: Config,
  { images = [], env = process.env, timeoutMs = CHECK_TIMEOUT_MS }: RegistryChecks = {},
): Promise<Finding[]> {
  const { registries, allow } = config.ProxyConfig;
  if (registries.length === 0)
    return [
      warning(
        'registries',
        'ProxyConfig.registries is empty: only ?ns= and NAME.distributed.REGION names work',
        'add the registry: `registries: [{upstream: "https://registry.example"}]`',
      ),
    ];
  let read: Network[];
  try {
    read = await readNetworks(registries);
  } catch (error) {
    const fix = 'correct the path or the file, and make it readable for the user of the node';
    return [failed('registries', (error as Error).message, fix)];
  }
  const networks = new Networks(read, env);
  const findings = await Promise.all(
    registries.flatMap((entry, at) =>
      [...new Set([entry.upstream, ...(entry.upstreams ?? [])])].map(async (upstream) => {
        const url = splitUrl(upstream);
        const proxy = networks.proxyFor(url);
        const reached =
          proxy === null
            ? await checkRegistry(url, networks, timeoutMs)
            : await checkThrough(new URL(proxy), url, timeoutMs);
        // A mirror under a name of its own holds other repositories, too.
        if (reached.outcome !== 'ok' || url.path !== '/') return [reached];
        const { p2pHost, storage = [] } = entry;
        const client = new OriginClient(
          {
            registries: [{ p2pHost, upstream, storage }],
            allow,
            firstByteTimeoutMs: timeoutMs,
            networks: [{ ...read[at]!, upstream, upstreams: [] }],
          },
          { env },
        );
        try {
          return [reached, await checkRanges(upstream, p2pHost, images, client)];
        } finally {
          await client.close();
        }
      }),
    ),
  );
  return findings.flat();
}

async function checkRegistry(
  url: SplitUrl,
  networks: Networks,
  timeoutMs: number,
): Promise<Finding> {
  const name = `registry ${url.host}`;
  const host = bareHost(url.hostname);
  try {
    await addressesOf(host, timeoutMs);
  } catch (error) {
    return failed(
      name,
      `the name does not resolve: ${reasonOf(error)}`,
      'check the upstream and the DNS server of this machine',
    );
  }
  try {
    const options = { host, port: url.port, path: '/v2/', headers: networks.headersFor(url) };
    const { status, headers } = await ask(
      url.scheme,
      { ...options, ...networks.tlsFor(url) },
      timeoutMs,
    );
    if (status === 200) return ok(name, 'answers without a credential');
    const challenge = headers['www-authenticate'];
    if (status === 401 && challenge !== undefined)
      return ok(name, `answers and asks for a credential (${challenge.split(' ', 1)[0]})`);
    return status === 401
      ? failed(name, 'answers 401 without WWW-Authenticate', 'is a proxy in between?')
      : failed(
          name,
          `answers ${status} to GET /v2/`,
          'check that the upstream is a registry, without path',
        );
  } catch (error) {
    const reason = reasonOf(error);
    const tls = tlsProblem(reason);
    if (tls !== null) return failed(name, `TLS: ${tls.cause} (${reason})`, tls.fix);
    if (reason === 'ECONNRESET' || reason.startsWith('HPE_'))
      return failed(
        name,
        `does not speak ${url.scheme} on this port (${reason})`,
        'use the other scheme (http or https) in upstream',
      );
    if (reason === 'ECONNREFUSED')
      return failed(name, 'connection refused', 'start the registry, or correct host and port');
    return failed(
      name,
      reason === 'ETIMEDOUT' ? `no answer within ${timeoutMs / 1000} s` : reason,
      'check the route and firewalls from this machine',
    );
  }
}

/** The way through a proxy: whether it runs, lets this host through, and reaches it. */
async function checkThrough(proxy: URL, url: SplitUrl, timeoutMs: number): Promise<Finding> {
  const name = `registry ${url.host}`;
  const step =
    'start the proxy, or correct `proxy` of the registry, HTTPS_PROXY, HTTP_PROXY or NO_PROXY';
  try {
    const status = await askProxy(proxy, url, timeoutMs);
    if (status < 400 || (status === 401 && url.scheme === 'http'))
      return ok(name, `is reached through the proxy ${proxy.host}`);
    return failed(
      name,
      `the proxy ${proxy.host} answers ${status} instead of passing on`,
      status === 407 ? 'put name and password into the URL of the proxy' : step,
    );
  } catch (error) {
    const reason = reasonOf(error);
    const what =
      reason === 'ECONNREFUSED'
        ? 'refuses the connection'
        : reason === 'ETIMEDOUT'
          ? `does not answer within ${timeoutMs / 1000} s`
          : `cannot be reached (${reason})`;
    return failed(name, `the proxy ${proxy.host} ${what}`, step);
  }
}

/** The status with which a proxy opens a tunnel, or passes a plain request on. */
async function askProxy(proxy: URL, url: SplitUrl, timeoutMs: number): Promise<number> {
  const isTunnel = url.scheme === 'https';
  const scheme = proxy.protocol === 'https:' ? 'https' : 'http';
  const user = decodeURIComponent(`${proxy.username}:${proxy.password}`);
  const { status } = await ask(
    scheme,
    {
      host: bareHost(proxy.hostname),
      port: proxy.port || (scheme === 'https' ? 443 : 80),
      method: isTunnel ? 'CONNECT' : 'GET',
      path: isTunnel ? `${url.hostname}:${url.port}` : `${url.origin}/v2/`,
      headers: {
        host: url.host,
        ...(user === ':'
          ? {}
          : { 'proxy-authorization': `Basic ${Buffer.from(user).toString('base64')}` }),
      },
    },
    timeoutMs,
  );
  return status;
}
