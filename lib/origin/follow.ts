import { ShoalError } from '../errors.ts';
import type { AllowList } from '../registry/allow.ts';
import { joinUrl, splitUrl, type SplitUrl } from '../registry/url.ts';
import type { OriginHeaders } from './content-range.ts';
import { NotPlain, type DirectTransport } from './direct.ts';
import {
  exchange,
  type AnswerReader,
  type ExchangeRequest,
  type ExchangeTools,
  type Flow,
} from './exchange.ts';
import type { Mirrors } from './mirrors.ts';
import type { Networks } from './network.ts';
import {
  ORIGIN_ALIVE_TIMEOUT_MS,
  ORIGIN_ERROR_BODY_BYTES_MAX,
  ORIGIN_REDIRECTS_MAX,
  ORIGIN_REPEAT_MS_MIN,
} from './limits.ts';

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
   * The head of a last answer that is no refusal has come, from `last`, for a request that began at
   * `home`.
   */
  arrived?: (last: SplitUrl, home: SplitUrl) => void;
}

/** One try of a request, at one upstream of its registry. */
interface Attempt extends FollowRequest {
  /** Whether another upstream can be tried when this one fails. */
  mayFailOver: boolean;
  /** Whether the reader has seen a head: then the answer is this one. */
  isAnswered: boolean;
}

/** An upstream that has mirrors answered a 5xx. */
class UpstreamFailed extends ShoalError {}

/** The URL that gave the answer, and the one that redirected there. */
export interface Followed {
  last: SplitUrl;
  referer: string | undefined;
  /** The upstream that was asked: the registry itself, or a mirror of it. */
  upstream: string;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Statuses of an object store for a signed URL that has expired or is gone. */
export const EXPIRED = new Set([400, 401, 403, 404, 410]);

/** Sends requests and follows redirects, each hop checked against the allow-list. */
export class Follower {
  readonly #allow: AllowList;
  readonly #direct: DirectTransport;
  readonly #tools: ExchangeTools;
  readonly #networks: Networks;
  readonly #mirrors: Pick<Mirrors, 'inOrder' | 'failed'>;
  #underWay = 0;
  #becameIdle: (() => void)[] = [];

  constructor(
    { allow, networks }: { allow: AllowList; networks: Networks },
    mirrors: Pick<Mirrors, 'inOrder' | 'failed'>,
    direct: DirectTransport,
    tools: ExchangeTools,
  ) {
    this.#allow = allow;
    this.#networks = networks;
    this.#mirrors = mirrors;
    this.#direct = direct;
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
    const upstreams = request.start === request.home ? this.#mirrors.inOrder(origin) : [origin];
    for (const [index, upstream] of upstreams.entries()) {
      const mayFailOver = index < upstreams.length - 1;
      const home = upstream === origin ? request.home : { ...request.home, ...placeOf(upstream) };
      const start = request.start === request.home ? home : request.start;
      const attempt: Attempt = { ...request, start, home, mayFailOver, isAnswered: false };
      // The others need time, too.
      const nowMs = this.#tools.clock.nowMs();
      if (mayFailOver) attempt.deadlineMs = nowMs + (request.deadlineMs - nowMs) / 2;
      try {
        const { last, referer } = await this.#follow(attempt, reader);
        request.isPlain = attempt.isPlain;
        return { last: last === home ? request.home : last, referer, upstream };
      } catch (thrown) {
        request.isPlain = attempt.isPlain;
        if (!mayFailOver || attempt.isAnswered || !isFailure(thrown)) throw thrown;
        const how = thrown instanceof UpstreamFailed ? 'error' : 'silent';
        this.#mirrors.failed(origin, upstream, how);
      }
    }
    throw new Error('a registry has at least one upstream');
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
        ...this.#networks.headersFor(at),
        ...request.headers,
        'accept-encoding': 'identity',
        ...(referer === undefined ? {} : { referer }),
      };
      if (at.origin === request.home.origin && request.authorization !== undefined)
        headers['authorization'] = request.authorization;
      const hop = new HopReader(reader, at, request);
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
   * The status that `<origin>/v2/` answers to a request without credentials; null: none in time. A
   * redirect is an answer like any other.
   */
  async statusOf(origin: string, timeoutMs: number): Promise<number | null> {
    const url = splitUrl(`${origin}/v2/`);
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
    } catch {
      return null;
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
    if (!this.#allow.mayAsk(hostname, port))
      throw new ShoalError(
        'HOST_NOT_ALLOWED',
        `${hostname}:${port} is not on the allow-list of this node`,
      );
  }

  /** One request and its answer: by DirectTransport where the start is known to suit it. */
  async #exchange(request: Attempt, hop: ExchangeRequest, reader: HopReader): Promise<void> {
    if (request.isPlain && hop.url === request.start && this.#direct.serves(hop.url)) {
      request.cost.requests++;
      try {
        await exchange(hop, reader, { ...this.#tools, transport: this.#direct });
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
    request.cost.requests++;
    try {
      await exchange(hop, reader, this.#tools);
    } catch (thrown) {
      // A pull-through cache is silent while it fetches, and goes on fetching when its client hangs
      // up. Asked again it may answer within the time that is left.
      const isSilent =
        thrown instanceof ShoalError && thrown.code === 'ORIGIN_TIMEOUT' && !reader.headSeen;
      const leftMs = request.deadlineMs - this.#tools.clock.nowMs();
      if (!isSilent || request.mayFailOver || leftMs < ORIGIN_REPEAT_MS_MIN) throw thrown;
      if (
        hop.url.origin === request.home.origin &&
        (await this.statusOf(hop.url.origin, ORIGIN_ALIVE_TIMEOUT_MS)) === null
      )
        throw thrown;
      request.cost.requests++;
      await exchange(hop, reader, this.#tools);
    }
  }
}

/** Whether another upstream may do better: no connection, no answer in time, a 5xx. */
function isFailure(thrown: unknown): boolean {
  return (
    thrown instanceof UpstreamFailed ||
    (thrown instanceof ShoalError &&
      ['ORIGIN_UNREACHABLE', 'ORIGIN_TIMEOUT', 'ORIGIN_BROKEN'].includes(thrown.code))
  );
}

/** What an origin says of a URL: all but path and query. */
function placeOf(origin: string): Omit<SplitUrl, 'path' | 'query'> {
  const { scheme, hostname, port, host, origin: whole } = splitUrl(origin);
  return { scheme, hostname, port, host, origin: whole };
}

/** Keeps redirects from the reader. */
class HopReader implements AnswerReader {
  location: SplitUrl | null = null;
  headSeen = false;
  readonly #reader: AnswerReader;
  readonly #at: SplitUrl;
  readonly #request: Attempt;
  #discardedBytes = 0;

  constructor(reader: AnswerReader, at: SplitUrl, request: Attempt) {
    this.#reader = reader;
    this.#at = at;
    this.#request = request;
  }

  head(status: number, headers: OriginHeaders, flow: Flow | null): 'more' | 'enough' {
    this.headSeen = true;
    const { location } = headers;
    if (REDIRECTS.has(status) && location !== undefined) {
      this.location = resolveLocation(location, this.#at);
      return 'more';
    }
    if (status >= 500 && this.#request.mayFailOver)
      throw new UpstreamFailed('ORIGIN_REFUSED', `${this.#at.host} answered ${status}`, { status });
    if (!this.#request.ignoresCoding && isCoded(headers['content-encoding']))
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#at.host} sent an encoded body, which was not asked for`,
      );
    this.#request.isAnswered = true;
    if (status < 400) this.#request.arrived?.(this.#at, this.#request.home);
    return this.#reader.head(status, headers, flow);
  }

  data(chunk: Uint8Array): 'more' | 'enough' {
    if (this.location === null) return this.#reader.data(chunk);
    // The short body of a redirect is read to its end, so that the connection can be used again.
    this.#discardedBytes += chunk.length;
    return this.#discardedBytes > ORIGIN_ERROR_BODY_BYTES_MAX ? 'enough' : 'more';
  }

  room(bytesMax: number): Uint8Array {
    return this.#reader.room(bytesMax);
  }

  placed(bytes: number): 'more' | 'enough' {
    return this.#reader.placed(bytes);
  }

  stopped(): boolean {
    return this.#reader.stopped();
  }
}

/** Codings that change a body (RFC 9110, 8.4.1, and the IANA registry). */
const CODINGS = new Set(['gzip', 'x-gzip', 'deflate', 'br', 'zstd', 'compress', 'x-compress']);

function isCoded(contentEncoding: string | undefined): boolean {
  return (contentEncoding ?? '').split(',').some((one) => CODINGS.has(one.trim().toLowerCase()));
}

/**
 * The Referer that Go's and browsers' clients send after a redirect: some stores accept a signed
 * URL only with it. Never from https to http, and never with a query: that may be a signature.
 */
function refererFrom(from: SplitUrl, to: SplitUrl): string | undefined {
  if (from.scheme === 'https' && to.scheme === 'http') return undefined;
  return `${from.origin}${from.path}`;
}

/**
 * An absolute Location is taken as it is written, because a signature holds for these very bytes.
 * Blanks and characters outside ASCII are percent-encoded, as all clients do.
 */
function resolveLocation(location: string, at: SplitUrl): SplitUrl {
  try {
    const bare = location
      .trim()
      .replace(/#.*$/, '')
      // Header values are read as latin1: each character is one byte of the UTF-8 text.
      .replaceAll(/[^\x21-\x7e]/g, (byte) => `%${hexByte(byte)}`);
    if (/^https?:\/\//i.test(bare)) return splitUrl(bare);
    return splitUrl(new URL(bare, joinUrl(at)).href.replace(/#.*$/, ''));
  } catch {
    throw new ShoalError('ORIGIN_BROKEN', `${at.host} redirects to an invalid URL`);
  }
}

function hexByte(character: string): string {
  return (character.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0');
}
