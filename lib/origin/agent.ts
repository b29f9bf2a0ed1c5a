import type { LookupAddress } from 'node:dns';
import { createRequire } from 'node:module';
import type { LookupFunction } from 'node:net';
import type * as Undici from 'undici';
import type { Dispatcher } from 'undici';
import { ShoalError } from '../errors.ts';
import { ORIGIN_CONNECTIONS_MAX, ORIGIN_KEEP_ALIVE_MS } from './limits.ts';
import { REQUEST_HEAD_BYTES_MAX } from '../limits.ts';
import type { AllowList } from '../registry/allow.ts';
import { splitUrl } from '../registry/url.ts';
import type { Networks } from './network.ts';
import type { Resolver } from './resolve.ts';

// Its parts, not all of it: fetch, WebSocket and the caches take 45 ms of a thread's start and 5
// MB.
const require = createRequire(import.meta.url);
const Agent = require('undici/lib/dispatcher/agent.js') as typeof Undici.Agent;
const Pool = require('undici/lib/dispatcher/pool.js') as typeof Undici.Pool;
const buildConnector = require('undici/lib/core/connect.js') as typeof Undici.buildConnector;

export interface AgentOptions {
  allow: AllowList;
  connectTimeoutMs: number;
  /** Certificate authorities (PEM) trusted instead of the system's; tests have their own. */
  ca?: string;
  resolve: Resolver;
  networks: Networks;
}

/**
 * Connections to origins, kept alive, one pool for each `scheme://host:port`. What is checked
 * against the allow-list is the address the socket connects to, at the moment it does: a name that
 * resolves to something else by then (DNS rebinding) gains nothing.
 */
export function createOriginAgent(options: AgentOptions): Dispatcher {
  const { resolve } = options;
  return new Agent({
    factory: (origin, poolOptions) => {
      const url = splitUrl(String(origin));
      const { port } = url;
      const tls = {
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...options.networks.tlsFor(url),
      };
      const proxy = options.networks.proxyFor(url);
      // Through a proxy the proxy resolves names; the allow-list has checked the name.
      if (proxy !== null) return proxyAgent(proxy, tls);
      const connect = buildConnector({
        timeout: options.connectTimeoutMs,
        // HTTP/1.1: a connection for each read in flight carries more than streams of one.
        allowH2: false,
        lookup: checkedLookup(resolve, options.allow, port),
        ...tls,
      });
      return new Pool(origin, { ...poolOptions, connect });
    },
    connections: ORIGIN_CONNECTIONS_MAX,
    pipelining: 1,
    keepAliveTimeout: ORIGIN_KEEP_ALIVE_MS,
    maxHeaderSize: REQUEST_HEAD_BYTES_MAX,
    // Time is watched by the exchange itself, more finely than undici's timers.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

/** The whole of undici is loaded only where there is a proxy: its agent needs all of it. */
function proxyAgent(uri: string, requestTls: object): Dispatcher {
  const { ProxyAgent } = require('undici') as typeof Undici;
  return new ProxyAgent({
    uri,
    requestTls,
    allowH2: false,
    keepAliveTimeout: ORIGIN_KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

/** A `lookup` for net.connect that fails unless every address of the name may be dialled. */
export function checkedLookup(resolve: Resolver, allow: AllowList, port: number): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    resolve(hostname).then(
      (addresses) => {
        if (!allow.dialable(hostname, port, addresses)) {
          callback(
            new ShoalError(
              'HOST_NOT_ALLOWED',
              `${hostname}:${port} resolves to an address this node must not dial`,
            ),
            '',
            0,
          );
          return;
        }
        const found: LookupAddress[] = addresses.map((address) => ({
          address,
          family: address.includes(':') ? 6 : 4,
        }));
        if (lookupOptions.all === true) callback(null, found);
        else callback(null, found[0]!.address, found[0]!.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}
