import { createRequire } from 'node:module';
import { LRUCache } from 'lru-cache';
import type * as Undici from 'undici';
import type { Dispatcher } from 'undici';
import { ShoalError } from '../errors.ts';
import type { AllowList } from '../registry/allow.ts';
import { credentialsFor } from '../registry/docker-config.ts';
import { formHeaders, RegistryLogin, repositoryOf, type Send } from '../registry/login.ts';
import { joinUrl, splitUrl, type SplitUrl } from '../registry/url.ts';
import { LOGIN_FAILED_MS, OWN_LOGINS_MAX, TOKEN_TIMEOUT_MS } from './limits.ts';
import type { Networks } from './network.ts';

const require = createRequire(import.meta.url);

/**
 * Shoal's own credentials for registries (`registries[].credentialsFile`), for requests of clients
 * that come without. They go to the registry they are for (scheme, host and port), and to the token
 * server that it names if the allow-list has that; never over http for a registry of https.
 */
export class OwnLogins {
  readonly #networks: Networks;
  readonly #allow: AllowList;
  readonly #dispatcher: Dispatcher;
  /** By origin and repository: tokens are for one repository. */
  readonly #logins = new LRUCache<string, RegistryLogin>({ max: OWN_LOGINS_MAX });

  constructor(networks: Networks, allow: AllowList, dispatcher: Dispatcher) {
    this.#networks = networks;
    this.#allow = allow;
    this.#dispatcher = dispatcher;
  }

  /**
   * A login has failed: it counts for LOGIN_FAILED_MS, so that wrong credentials are not tried with
   * every request, and a token server that was away is asked again.
   */
  failed(home: SplitUrl): void {
    const name = nameOf(home);
    const login = this.#logins.get(name);
    if (login !== undefined) this.#logins.set(name, login, { ttl: LOGIN_FAILED_MS });
  }

  /** The login for a request to a registry itself; null: the config has no credentials for it. */
  of(home: SplitUrl): { login: RegistryLogin; repository: string } | null {
    const entries = this.#networks.credentialsFor(home);
    if (entries.length === 0) return null;
    const repository = repositoryOf(new URL(joinUrl(home)));
    const name = nameOf(home);
    let login = this.#logins.get(name);
    if (login === undefined) {
      const credentials = credentialsFor({ entries }, home.host, repository);
      if (credentials === null) return null;
      login = new RegistryLogin(credentials, this.#sender(home));
      this.#logins.set(name, login);
    }
    return { login, repository };
  }

  #sender(home: SplitUrl): Send {
    return async (url, headers, form) => {
      const { scheme, hostname, port, host } = splitUrl(url.href.replace(/#.*$/, ''));
      const isSafe = scheme === 'https' || home.scheme === 'http';
      if (!isSafe || !this.#allow.mayAsk(hostname, port))
        throw new ShoalError(
          'HOST_NOT_ALLOWED',
          `the token server ${host} of ${home.host} ` +
            (isSafe ? 'is not in ProxyConfig.allow' : 'is not asked over plain http'),
        );
      // Loaded when it is first needed.
      const request = require('undici/lib/api/api-request.js') as typeof Undici.request;
      const options = {
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: form === undefined ? ('GET' as const) : ('POST' as const),
        headers: { ...headers, ...formHeaders(form), 'user-agent': 'shoal' },
        signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
        ...(form === undefined ? {} : { body: form.toString() }),
      };
      return (await (request as unknown as DispatcherRequest).call(
        this.#dispatcher,
        options,
      )) as Dispatcher.ResponseData;
    };
  }
}

function nameOf(home: SplitUrl): string {
  return `${home.origin} ${repositoryOf(new URL(joinUrl(home)))}`;
}

/** undici's `Dispatcher.request`, which is put on the prototype only when all of it is loaded. */
type DispatcherRequest = (
  this: Dispatcher,
  options: Dispatcher.RequestOptions,
) => Promise<Dispatcher.ResponseData>;
