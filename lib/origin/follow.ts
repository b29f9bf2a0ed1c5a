import { ShoalError } from '../errors.ts';
import type { AllowList } from '../registry/allow.ts';
import { LOGIN_TRIES_MAX, type RegistryLogin } from '../registry/login.ts';
import { splitUrl, type SplitUrl } from '../registry/url.ts';
import { NotPlain, type DirectTransport } from './direct.ts';
import { isLostConnection } from './error.ts';
import {
  exchange,
  type AnswerReader,
  type ExchangeRequest,
  type ExchangeTools,
} from './exchange.ts';
import { Challenged, HopReader, UpstreamFailed, type Attempt } from './hop-reader.ts';
import type { Mirrors } from './mirrors.ts';
import type { Networks } from './network.ts';
import type { OwnLogins } from './own-logins.ts';
import { ORIGIN_ALIVE_TIMEOUT_MS, ORIGIN_REDIRECTS_MAX, ORIGIN_REPEAT_MS_MIN } from './limits.ts';
import type { PingAnswer } from './outages.ts';

export interface FollowRequest {
  method: 'GET' | 'HEAD';
  start: SplitUrl;
  /** The only origin (scheme, host and port) that gets the credential. */
  home: SplitUrl;
  authorization: string | undefined;
  headers: Record<string, string>;
  /** The URL that redirected to `start`, when that was remembered. */
  referer: string | undefined;
  deadlineMs: number;
  cost: { requests: number };
  /** Whether `start` answers as DirectTransport takes it; set to false when it does not. */
  isPlain: boolean;
  /**
   * Whether a Content-Encoding is ignored. Bytes named by their digest are taken as they come: the
   * digest decides, and object stores keep stray Content-Encoding values as metadata.
   */
  ignoresCoding: boolean;
  /**
   * Whether a request with Range that gets no answer is repeated without: it is not known that the
   * origin serves ranges, and some servers and filters drop such requests.
   */
  mayDropRange: boolean;
  /**
   * The head of a last answer that is no refusal has come, from `last`, for a request that began at
   * `home`.
   */
  arrived?: (last: SplitUrl, home: SplitUrl, referer: string | undefined) => void;
}

/** The URL that gave the answer, and the one that redirected there. */
export interface Followed {
  last: SplitUrl;
  referer: string | undefined;
  /** The upstream that was asked: the registry itself, or a mirror of it. */
  upstream: string;
}

/** Statuses of an object store for a signed URL that has expired or is gone. */
export const EXPIRED = new Set([400, 401, 403, 404, 410]);

interface FollowerParts {
  allow: AllowList;
  networks: Networks;
  mirrors: Pick<Mirrors, 'inOrder' | 'failed'>;
  logins: OwnLogins;
  /** null: all answers come over the transport of `tools`. */
  direct: DirectTransport | null;
}

/** Sends requests and follows redirects, each hop checked against the allow-list. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #tools: ExchangeTools;
  #underWay = 0;
  #becameIdle: (() => void)[] = [];

  constructor(parts: FollowerParts, tools: ExchangeTools) {
    this.#parts = parts;
    this.#tools = tools;
  }

  /** Sends a request; `reader` sees the last answer only. */
  follow(request: FollowRequest, reader: AnswerReader): Promise<Followed> {
    return this.#counted(this.#followAtMirrors(request, reader));
  }

  /** Resolves when no request is under way. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#underWay === 0) resolve();
      else this.#becameIdle.push(resolve);
    });
  }

  /** Tries the upstreams of a registry in order, until one answers otherwise than by failing. */
  async #followAtMirrors(request: FollowRequest, reader: AnswerReader): Promise<Followed> {
    const { origin } = request.home;
    const upstreams =
      request.start === request.home ? this.#parts.mirrors.inOrder(origin) : [origin];
    for (const [index, upstream] of upstreams.entries()) {
      const mayFailOver = index < upstreams.length - 1;
      const home = upstream === origin ? request.home : atMirror(request.home, upstream);
      const start = request.start === request.home ? home : request.start;
      const attempt: Attempt = {
        ...request,
        start,
        home,
        mayFailOver,
        isAnswered: false,
        takesChallenge: false,
      };
      // The others need time, too.
      const nowMs = this.#tools.clock.nowMs();
      if (mayFailOver) attempt.deadlineMs = nowMs + (request.deadlineMs - nowMs) / 2;
      try {
        const { last, referer } = await this.#followLoggedIn(attempt, reader);
        request.isPlain = attempt.isPlain;
        return { last: last === home ? request.home : last, referer, upstream };
      } catch (thrown) {
        request.isPlain = attempt.isPlain;
        if (!mayFailOver || attempt.isAnswered || !isFailure(thrown)) throw thrown;
        const how = thrown instanceof UpstreamFailed ? 'error' : 'silent';
        this.#parts.mirrors.failed(origin, upstream, how);
      }
    }
    throw new Error('a registry has at least one upstream');
  }

  /** Answers a challenge with credentials of this node, where the client came without any. */
  async #followLoggedIn(
    attempt: Attempt,
    reader: AnswerReader,
  ): Promise<Pick<Followed, 'last' | 'referer'>> {
    const own =
      attempt.authorization === undefined && attempt.start === attempt.home
        ? this.#parts.logins.of(attempt.home)
        : null;
    if (own === null) return this.#follow(attempt, reader);
    const { login, repository } = own;
    for (let tries = 0; ; tries++) {
      const sent = login.authorization;
      attempt.takesChallenge = tries < LOGIN_TRIES_MAX;
      attempt.authorization = sent ?? undefined;
      try {
        return await this.#follow(attempt, reader);
      } catch (thrown) {
        if (!(thrown instanceof Challenged)) throw thrown;
        const mayRenew = tries === 0 && sent !== null;
        if (await this.#logIn(login, thrown, attempt.home, sent, repository, mayRenew)) continue;
      }
      // Refused: the client may have credentials that are accepted.
      attempt.takesChallenge = false;
      attempt.authorization = undefined;
      return this.#follow(attempt, reader);
    }
  }

  /**
   * Whether there is an authorization to try; a failure is told with the challenge, for clients.
   */
  async #logIn(
    login: RegistryLogin,
    challenge: Challenged,
    home: SplitUrl,
    ...rest: [sent: string | null, repository: string, mayRenew: boolean]
  ): Promise<boolean> {
    try {
      const goesOn = await login.challenged(challenge, ...rest);
      if (!goesOn) this.#parts.logins.failed(home);
      return goesOn;
    } catch (thrown) {
      this.#parts.logins.failed(home);
      const { message } = ShoalError.from(thrown, 'ORIGIN_UNREACHABLE');
      throw new ShoalError('ORIGIN_REFUSED', `logging in by credentialsFile failed: ${message}`, {
        status: 401,
        headers: challenge.headers,
        cause: thrown,
      });
    }
  }

  async #follow(
    request: Attempt,
    reader: AnswerReader,
  ): Promise<Pick<Followed, 'last' | 'referer'>> {
    let at = request.start;
    let { referer } = request;
    for (let hops = 0; hops <= ORIGIN_REDIRECTS_MAX; hops++) {
      this.#assertAllowed(at);
      const headers: Record<string, string> = {
        'user-agent': 'shoal',
        ...this.#parts.networks.headersFor(at),
        ...request.headers,
        'accept-encoding': 'identity',
        ...(referer === undefined ? {} : { referer }),
      };
      if (at.origin === request.home.origin && request.authorization !== undefined)
        headers['authorization'] = request.authorization;
      const hop = new HopReader(reader, at, request, referer);
      await this.#exchange(
        request,
        { method: request.method, url: at, headers, deadlineMs: request.deadlineMs },
        hop,
      );
      if (hop.location === null) return { last: at, referer };
      referer = refererFrom(at, hop.location);
      at = hop.location;
    }
    throw new ShoalError(
      'ORIGIN_BROKEN',
      `${request.home.host} redirects more than ${ORIGIN_REDIRECTS_MAX} times`,
    );
  }

  /**
   * The status that `/v2/` of an upstream answers to a request without credentials; null: none in
   * time. A redirect is an answer like any other.
   */
  async statusOf(upstream: string, timeoutMs: number): Promise<PingAnswer> {
    const url = { ...splitUrl(upstream), path: '/v2/' };
    const deadlineMs = this.#tools.clock.nowMs() + timeoutMs;
    const headers = { 'user-agent': 'shoal', 'accept-encoding': 'identity' };
    let status: number | null = null;
    const reader: AnswerReader = {
      head(answered) {
        status = answered;
        return 'enough';
      },
      data: () => 'enough',
      room: () => new Uint8Array(0),
      placed: () => 'enough',
      stopped: () => false,
    };
    try {
      this.#assertAllowed(url);
      const request = { method: 'GET', url, headers, deadlineMs } as const;
      await this.#counted(exchange(request, reader, this.#tools));
      return status;
    } catch (thrown) {
      return thrown instanceof ShoalError && thrown.code === 'OVERLOADED' ? 'unasked' : null;
    }
  }

  async #counted<T>(request: Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await request;
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) for (const resolve of this.#becameIdle.splice(0)) resolve();
    }
  }

  #assertAllowed({ hostname, port }: SplitUrl): void {
    if (!this.#parts.allow.mayAsk(hostname, port))
      throw new ShoalError(
        'HOST_NOT_ALLOWED',
        `${hostname}:${port} is not on the allow-list of this node`,
      );
  }

  /** One request and its answer: by DirectTransport where the start is known to suit it. */
  async #exchange(request: Attempt, hop: ExchangeRequest, reader: HopReader): Promise<void> {
    const { direct } = this.#parts;
    if (request.isPlain && hop.url === request.start && direct?.serves(hop.url) === true) {
      request.cost.requests++;
      try {
        await exchange(hop, reader, { ...this.#tools, transport: direct });
        return;
      } catch (thrown) {
        if (!(thrown instanceof NotPlain)) throw thrown;
        // An expired signature: the registry has to be asked for another one.
        if (thrown.status !== null && EXPIRED.has(thrown.status) && hop.url !== request.home)
          throw thrown;
        // A redirect or a refusal says nothing about the next answer.
        if (thrown.status === null || thrown.status < 300) request.isPlain = false;
      }
    }
    const send = (form: ExchangeRequest): Promise<void> => {
      request.cost.requests++;
      return exchange(form, reader, this.#tools);
    };
    const { mayDropRange } = request;
    try {
      await send(hop);
    } catch (thrown) {
      const isSilent = !reader.headSeen && isTimeout(thrown);
      const isLost = mayDropRange && !reader.headSeen && wasLost(thrown);
      const leftMs = request.deadlineMs - this.#tools.clock.nowMs();
      if (!(isSilent || isLost) || request.mayFailOver || leftMs < ORIGIN_REPEAT_MS_MIN)
        throw thrown;
      if (
        hop.url.origin === request.home.origin &&
        (await this.statusOf(hop.url.origin, ORIGIN_ALIVE_TIMEOUT_MS)) === null
      )
        throw thrown;
      // A connection may be lost once.
      const again = isLost ? await send(hop).catch((error: unknown) => error) : thrown;
      if (again === undefined) return;
      if (isLost && (reader.headSeen || !wasLost(again))) throw again;
      // A pull-through cache is silent while it fetches, and goes on fetching when its client hangs
      // up. Asked again it may answer within the time that is left.
      await send(mayDropRange ? withoutRange(hop) : hop);
    }
  }
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof ShoalError && thrown.code === 'ORIGIN_TIMEOUT';
}

function wasLost(thrown: unknown): boolean {
  return thrown instanceof ShoalError && isLostConnection(thrown.cause);
}

function withoutRange(request: ExchangeRequest): ExchangeRequest {
  const { range: _dropped, ...headers } = request.headers;
  return { ...request, headers };
}

/** Whether another upstream may do better: no connection, no answer in time, a 5xx. */
function isFailure(thrown: unknown): boolean {
  return (
    thrown instanceof UpstreamFailed ||
    (thrown instanceof ShoalError &&
      ['ORIGIN_UNREACHABLE', 'ORIGIN_TIMEOUT', 'ORIGIN_BROKEN'].includes(thrown.code))
  );
}

/** The URL of what is at `home` at a mirror (`scheme://host[/v2/NAME]`) of its registry. */
function atMirror(home: SplitUrl, mirror: string): SplitUrl {
  const { path, query: _none, ...place } = splitUrl(mirror);
  if (path === '/') return { ...home, ...place };
  return { ...home, ...place, path: home.path.replace(/^\/v2(?=\/.)/, path) };
}

/**
 * The Referer that Go's and browsers' clients send after a redirect: some stores accept a signed
 * URL only with it. Never from https to http, and never with a query: that may be a signature.
 */
function refererFrom(from: SplitUrl, to: SplitUrl): string | undefined {
  if (from.scheme === 'https' && to.scheme === 'http') return undefined;
  return `${from.origin}${from.path}`;
}
