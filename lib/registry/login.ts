import { ShoalError } from '../errors.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import type { Credentials } from './docker-config.ts';

/** An answer of a token server. */
interface LoginAnswer {
  statusCode: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: { json(): Promise<unknown>; dump(): Promise<void> };
}

/** Asks a token server, with a form as its body where there is one. */
export type Send = (
  url: URL,
  headers: Record<string, string>,
  form?: URLSearchParams,
) => Promise<LoginAnswer>;

/** Tries after a 401: a token that may have expired is renewed, then each scheme is tried once. */
export const LOGIN_TRIES_MAX = 3;

/** The repository of a request to a registry; '' when it is about none. */
export function repositoryOf({ pathname }: URL): string {
  return /\/v2\/(.+)\/(?:blobs|manifests|tags|referrers)\/[^/]*$/.exec(pathname)?.[1] ?? '';
}

export function formHeaders(form: URLSearchParams | undefined): Record<string, string> {
  return form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
}

const CLIENT_ID = 'shoal';
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** They keep the method and the body. */
const REDIRECTS_OF_FORMS = new Set([307, 308]);
const REDIRECTS_MAX = 5;
/** Statuses of token servers that take only the other method. */
const WRONG_METHOD = new Set([404, 405, 501]);

/**
 * Answers a registry's challenges as docker and containerd do: Bearer by way of the token server
 * (distribution, "Token Authentication Specification"), by GET, else by POST; Basic. Of several
 * challenges it tries Bearer first, then Basic; schemes that it does not know are passed over.
 */
export class RegistryLogin {
  readonly #credentials: Credentials | null;
  readonly #send: Send;
  /** Answers that the registry has refused. */
  readonly #refused = new Set<string>();
  #authorization: string | null = null;

  constructor(credentials: Credentials | null, send: Send) {
    this.#credentials = credentials;
    this.#send = send;
  }

  /** The Authorization header to send, if one is known. */
  get authorization(): string | null {
    return this.#authorization;
  }

  /**
   * A 401 to a request for `repository` that was sent with `sent`. Whether there is another
   * Authorization to try. `mayRenew`: a token that was refused may have expired.
   * @throws ShoalError ORIGIN_REFUSED, ORIGIN_UNREACHABLE or ORIGIN_BROKEN when no challenge could
   * be answered
   */
  async challenged(
    answer: { headers: Readonly<Record<string, string | string[] | undefined>> },
    sent: string | null,
    repository: string,
    mayRenew: boolean,
  ): Promise<boolean> {
    // Another read may have got a fresh token meanwhile.
    if (sent !== this.#authorization && !mayRenew) return true;
    if (sent !== null && !mayRenew) this.#refused.add(kindOf(sent));
    const header = answer.headers['www-authenticate'] ?? [];
    const challenges = parseChallenges(Array.isArray(header) ? header : [header]);
    let failure: unknown = null;
    for (const challenge of [...named(challenges, 'bearer'), ...named(challenges, 'basic')]) {
      if (this.#refused.has(challenge.scheme)) continue;
      try {
        const authorization =
          challenge.scheme === 'basic'
            ? this.#basic()
            : await this.#token(challenge.parameters, repository);
        if (authorization === null) continue;
        this.#authorization = authorization;
        return true;
      } catch (thrown) {
        this.#refused.add(challenge.scheme);
        failure = thrown;
      }
    }
    if (failure !== null) throw failure;
    return false;
  }

  #basic(): string | null {
    // An identity token's user is no user with an empty password.
    if (this.#credentials === null || this.#credentials.password === '') return null;
    const { username, password } = this.#credentials;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  async #token(parameters: Challenge['parameters'], repository: string): Promise<string | null> {
    const url = URL.parse(parameters.get('realm') ?? '');
    if (url === null || !/^https?:$/.test(url.protocol)) return null;
    const asked = new URLSearchParams();
    const service = parameters.get('service');
    if (service !== undefined) asked.set('service', service);
    const scope =
      parameters.get('scope') ?? (repository === '' ? null : `repository:${repository}:pull`);
    if (scope !== null) asked.set('scope', scope);
    const credentials = this.#credentials;
    // An identity token is taken by POST only.
    const prefersPost = credentials?.identityToken !== undefined;
    let answer = prefersPost
      ? await this.#byPost(url, asked, credentials)
      : await this.#byGet(url, asked);
    if (WRONG_METHOD.has(answer.statusCode) && credentials !== null) {
      await answer.body.dump().catch(() => undefined);
      answer = prefersPost
        ? await this.#byGet(url, asked)
        : await this.#byPost(url, asked, credentials);
    }
    const place = `${url.origin}${url.pathname}`;
    if (answer.statusCode !== 200) {
      await answer.body.dump().catch(() => undefined);
      throw new ShoalError('ORIGIN_REFUSED', `${place} answered ${answer.statusCode}`, {
        status: answer.statusCode,
      });
    }
    const given = (await answer.body.json().catch(() => null)) as {
      token?: unknown;
      access_token?: unknown;
    } | null;
    // Some servers send both, one of them empty.
    const token = given?.token || given?.access_token;
    if (typeof token !== 'string' || token === '')
      throw new ShoalError('ORIGIN_BROKEN', `${place} gave no token`);
    return `Bearer ${token}`;
  }

  /** Follows redirects. Credentials go to the origin that the challenge named, and to no other. */
  async #follow(
    url: URL,
    headers: Record<string, string>,
    form?: URLSearchParams,
  ): Promise<LoginAnswer> {
    let at = url;
    for (let hops = 0; ; hops++) {
      const answer = await this.#send(at, at.origin === url.origin ? headers : {}, form);
      const statuses = form === undefined ? REDIRECTS : REDIRECTS_OF_FORMS;
      const { location } = answer.headers;
      if (!statuses.has(answer.statusCode) || typeof location !== 'string') return answer;
      const next = URL.parse(location, at.href);
      const isForeign = next?.origin !== url.origin;
      if (next === null || (isForeign && form !== undefined) || hops === REDIRECTS_MAX)
        return answer;
      await answer.body.dump().catch(() => undefined);
      at = next;
    }
  }

  #byGet(url: URL, asked: URLSearchParams): Promise<LoginAnswer> {
    const whole = new URL(url);
    for (const [name, value] of asked) whole.searchParams.set(name, value);
    const basic = this.#basic();
    return this.#follow(whole, basic === null ? {} : { authorization: basic });
  }

  /** The OAuth 2 form of the token server (distribution, "OAuth2 Token Authentication"). */
  #byPost(
    url: URL,
    asked: URLSearchParams,
    { username, password, identityToken }: Credentials,
  ): Promise<LoginAnswer> {
    const form = new URLSearchParams(asked);
    form.set('client_id', CLIENT_ID);
    if (identityToken === undefined) {
      form.set('grant_type', 'password');
      form.set('username', username);
      form.set('password', password);
    } else {
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', identityToken);
    }
    // Some servers read the credentials from the header, whatever the form says.
    const basic = this.#basic();
    return this.#follow(url, basic === null ? {} : { authorization: basic }, form);
  }
}

function named(challenges: readonly Challenge[], scheme: string): Challenge[] {
  return challenges.filter((challenge) => challenge.scheme === scheme);
}

function kindOf(authorization: string): string {
  return authorization.split(' ', 1)[0]!.toLowerCase();
}
