import { readFileSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { request as plainRequest, type IncomingMessage } from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { Config } from '../config/schema.ts';
import { Networks, readNetworks } from '../origin/network.ts';
import { splitUrl } from '../registry/url.ts';
import { tlsProblem } from '../tls/problem.ts';
import { failed, ok, reasonOf, warning, type Finding } from './finding.ts';
import { CHECK_TIMEOUT_MS } from './limits.ts';

/** Name, connection, TLS and answer of every configured registry. */
export async function checkRegistries(
  config: Config,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Finding[]> {
  const { registries } = config.ProxyConfig;
  if (registries.length === 0)
    return [
      warning(
        'registries',
        'ProxyConfig.registries is empty: only ?ns= and NAME.distributed.REGION names work',
        'add the registry: `registries: [{upstream: "https://registry.example"}]`',
      ),
    ];
  const networks = new Networks(await readNetworks(registries), env);
  return Promise.all(
    registries.flatMap((entry) =>
      [...new Set([entry.upstream, ...(entry.upstreams ?? [])])].map((upstream) => {
        const proxy = networks.proxyFor(splitUrl(upstream));
        return proxy === null
          ? checkRegistry({ ...entry, upstream })
          : checkThrough(new URL(proxy), new URL('/v2/', upstream));
      }),
    ),
  );
}

type Entry = Config['ProxyConfig']['registries'][number] & {
  caFile?: string;
  insecureSkipVerify?: boolean;
};

async function checkRegistry(entry: Entry): Promise<Finding> {
  const url = new URL('/v2/', entry.upstream);
  const name = `registry ${url.host}`;
  try {
    await lookup(url.hostname.replace(/^\[|\]$/g, ''));
  } catch (error) {
    return failed(
      name,
      `the name does not resolve: ${reasonOf(error)}`,
      'check the upstream and the DNS server of this machine',
    );
  }
  try {
    const { statusCode = 0, headers } = await get(url, entry);
    if (statusCode === 200) return ok(name, 'answers without a credential');
    if (statusCode === 401 && headers['www-authenticate'] !== undefined)
      return ok(name, `answers and asks for a credential (${schemeOf(headers)})`);
    return statusCode === 401
      ? failed(name, 'answers 401 without WWW-Authenticate', 'is a proxy in between?')
      : failed(
          name,
          `answers ${statusCode} to GET /v2/`,
          'check that the upstream is a registry, without path',
        );
  } catch (error) {
    const reason = reasonOf(error);
    const tls = tlsProblem(reason);
    if (tls !== null) return failed(name, `TLS: ${tls} (${reason})`, 'correct the certificate');
    if (reason === 'ECONNRESET' || reason.startsWith('HPE_'))
      return failed(
        name,
        `does not speak ${url.protocol.slice(0, -1)} on this port (${reason})`,
        'use the other scheme (http or https) in upstream',
      );
    if (reason === 'ECONNREFUSED')
      return failed(name, 'connection refused', 'start the registry, or correct host and port');
    return failed(
      name,
      reason === 'ETIMEDOUT' ? `no answer within ${CHECK_TIMEOUT_MS / 1000} s` : reason,
      'check the route and firewalls from this machine',
    );
  }
}

/** The way through a proxy: whether it runs, lets this host through, and reaches it. */
async function checkThrough(proxy: URL, url: URL): Promise<Finding> {
  const name = `registry ${url.host}`;
  const step =
    'start the proxy, or correct `proxy` of the registry, HTTPS_PROXY, HTTP_PROXY or NO_PROXY';
  try {
    const status = await askProxy(proxy, url);
    if (status < 400 || (status === 401 && url.protocol === 'http:'))
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
          ? `does not answer within ${CHECK_TIMEOUT_MS / 1000} s`
          : `cannot be reached (${reason})`;
    return failed(name, `the proxy ${proxy.host} ${what}`, step);
  }
}

/** The status with which a proxy opens a tunnel, or passes a plain request on. */
function askProxy(proxy: URL, url: URL): Promise<number> {
  const isTunnel = url.protocol === 'https:';
  const auth = proxy.username === '' ? '' : `${proxy.username}:${proxy.password}`;
  const asking = (proxy.protocol === 'https:' ? tlsRequest : plainRequest)({
    host: proxy.hostname,
    port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
    method: isTunnel ? 'CONNECT' : 'GET',
    path: isTunnel ? `${url.hostname}:${url.port || 443}` : url.href,
    headers: {
      host: url.host,
      ...(auth === ''
        ? {}
        : {
            'proxy-authorization': `Basic ${Buffer.from(decodeURIComponent(auth)).toString('base64')}`,
          }),
    },
    agent: false,
  });
  return new Promise((resolve, reject) => {
    const heard = ({ statusCode = 0 }: IncomingMessage): void => {
      resolve(statusCode);
      asking.destroy();
    };
    asking.on('response', heard).on('connect', heard).on('error', reject);
    asking.setTimeout(CHECK_TIMEOUT_MS, () =>
      asking.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
    );
    asking.end();
  });
}

function schemeOf(headers: IncomingMessage['headers']): string {
  return headers['www-authenticate']!.split(' ', 1)[0]!;
}

function get(url: URL, entry: Entry): Promise<IncomingMessage> {
  const ca = entry.caFile === undefined ? {} : { ca: readFileSync(entry.caFile) };
  const options = { agent: false, ...ca, rejectUnauthorized: entry.insecureSkipVerify !== true };
  return new Promise((resolve, reject) => {
    const heard = (response: IncomingMessage): void => {
      response.resume();
      resolve(response);
    };
    const asking =
      url.protocol === 'https:'
        ? tlsRequest(url, options, heard)
        : plainRequest(url, { agent: false }, heard);
    asking.setTimeout(CHECK_TIMEOUT_MS, () =>
      asking.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
    );
    asking.on('error', reject);
    asking.end();
  });
}
