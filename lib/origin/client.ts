import type { Dispatcher } from 'undici';
import { systemClock, type Clock } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { ORIGIN_CONNECT_TIMEOUT_MS } from '../limits.ts';
import {
  ORIGIN_ERROR_BODY_BYTES_MAX,
  ORIGIN_ANSWER_DEADLINE_MS,
  ORIGIN_HEAD_TIMEOUT_MS,
  ORIGIN_SILENCE_MS,
  RELAY_BODY_BYTES_MAX,
  ORIGIN_REDIRECTS_MAX,
  PING_TIMEOUT_MS,
} from './limits.ts';
import { AllowList, type AllowConfig } from '../registry/allow.ts';
import { createOriginAgent } from './agent.ts';
import { NameResolver, type Resolver } from './resolve.ts';
import { BodyCollector } from './body.ts';
import { DirectTransport, NotPlain } from './direct.ts';
import {
  exchange,
  type AnswerReader,
  type ExchangeRequest,
  type ExchangeTools,
} from './exchange.ts';
import { UndiciTransport } from './undici.ts';
import {
  clampRange,
  notSatisfiable,
  type AskedRange,
  type OriginHeaders,
} from './content-range.ts';
import { RangeReader, type OriginSink } from './range-reader.ts';
import { RedirectMemory } from './redirect-memory.ts';
import { joinUrl, splitUrl, type SplitUrl } from '../registry/url.ts';
import { bucketOf, type Bucket } from '../registry/vouching.ts';

/** What may cross a thread boundary to make a client there. */
export type OriginOptions = AllowConfig;

/** What is handed in for tests; the defaults are the real ones. */
export interface OriginTools {
  clock?: Clock;
  resolve?: Resolver;
  ca?: string;
  connectTimeoutMs?: number;
  headTimeoutMs?: number;
  silenceMs?: number;
  answerDeadlineMs?: number;
  /** A registry's redirect has led to a blob in object storage. */
  redirected?: (bucket: Bucket) => void;
}

export interface OriginTarget {
  url: string;
  upstreamHost: string;
  authorization?: string;
  /** For a manifest: what the registry may send. */
  accept?: string;
}

export interface RelayAnswer {
  status: number;
  /** Lower-case names; only those of docs/SPEC.md 2.1. */
  headers: Record<string, string>;
  /** Owns its buffer. Empty for HEAD, whose `content-length` says what GET would bring. */
  body: Uint8Array;
}

/** What a read cost the origin. */
export interface OriginCost {
  /** HTTP requests sent, redirects and repeats included. */
  requests: number;
}

const RELAYED_REQUEST_HEADERS = ['accept', 'if-none-match', 'if-modified-since', 'user-agent'];
const RELAYED_ANSWER_HEADERS = [
  'www-authenticate',
  'content-type',
  'content-length',
  'docker-content-digest',
  'link',
  'etag',
  'warning',
  'retry-after',
  'oci-filters-applied',
  'docker-distribution-api-version',
];
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What an object store says to a signed URL that has expired or gone. */
const EXPIRED = new Set([400, 401, 403, 404, 410]);

/**
 * Reads from registries and the object stores behind them, over HTTP/1.1 with connections kept
 * alive, TLS verified. Redirects are followed inside, each hop checked against the allow-list; the
 * credential goes to the first origin (scheme, host and port) only. No message of its errors holds
 * a query or a credential.
 */
export class OriginClient {
  readonly #allow: AllowList;
  readonly #clock: Clock;
  readonly #dispatcher: Dispatcher;
  /** Connections for pings alone: no client can occupy them. */
  readonly #pingDispatcher: Dispatcher;
  readonly #exchangeTools: ExchangeTools;
  readonly #direct: DirectTransport;
  readonly #answerDeadlineMs: number;
  readonly #redirects: RedirectMemory;
  readonly #redirected: (bucket: Bucket) => void;

  constructor(options: OriginOptions, tools: OriginTools = {}) {
    this.#allow = new AllowList(options);
    this.#clock = tools.clock ?? systemClock;
    this.#answerDeadlineMs = tools.answerDeadlineMs ?? ORIGIN_ANSWER_DEADLINE_MS;
    this.#redirects = new RedirectMemory(this.#clock);
    this.#redirected = tools.redirected ?? (() => undefined);
    const agentOptions = {
      allow: this.#allow,
      connectTimeoutMs: tools.connectTimeoutMs ?? ORIGIN_CONNECT_TIMEOUT_MS,
      resolve: tools.resolve ?? new NameResolver().resolve,
      ...(tools.ca === undefined ? {} : { ca: tools.ca }),
    };
    this.#dispatcher = createOriginAgent(agentOptions);
    this.#pingDispatcher = createOriginAgent(agentOptions);
    this.#direct = new DirectTransport(agentOptions, this.#clock);
    this.#exchangeTools = {
      transport: new UndiciTransport(this.#dispatcher),
      clock: this.#clock,
      headTimeoutMs: tools.headTimeoutMs ?? ORIGIN_HEAD_TIMEOUT_MS,
      silenceMs: tools.silenceMs ?? ORIGIN_SILENCE_MS,
    };
  }

  /**
   * Reads up to `lengthBytes` from `offsetBytes` on, less where the object ends earlier; the sink
   * hears the size before the first byte. Resolves once every byte was handed over.
   * @throws ShoalError ORIGIN_REFUSED (the upstream's status, `www-authenticate`, `retry-after` and
   * body with it),
   *   RANGE_NOT_SATISFIABLE (size in `content-range`), ORIGIN_UNREACHABLE, ORIGIN_TIMEOUT,
   * ORIGIN_BROKEN,
   *   HOST_NOT_ALLOWED, CANCELLED, or what the sink threw
   */
  async readRange(
    target: OriginTarget,
    want: { offsetBytes: number; lengthBytes: number; totalBytes: number | null },
    sink: OriginSink,
  ): Promise<OriginCost> {
    const cost = { requests: 0 };
    if (want.totalBytes === 0 && want.offsetBytes === 0) {
      sink.head({ totalBytes: 0, startBytes: 0, lengthBytes: 0 });
      return cost;
    }
    if (want.totalBytes !== null && want.offsetBytes >= want.totalBytes)
      throw notSatisfiable(want.totalBytes);
    const deadlineMs = this.#clock.nowMs() + this.#answerDeadlineMs;
    let asked = clampRange(want);
    let reader = await this.#ask(target, asked, sink, deadlineMs, cost, true);
    if (reader.again !== null) {
      asked = clampRange({ ...want, totalBytes: reader.again });
      reader = await this.#ask(target, asked, sink, deadlineMs, cost, true);
      if (reader.again !== null)
        throw new ShoalError(
          'ORIGIN_BROKEN',
          `${target.upstreamHost} does not keep to the ranges asked for`,
        );
    }
    reader.finish();
    return cost;
  }

  /**
   * Whether this very credential (or signed URL) opens the object: a GET of one byte, never through
   * what an earlier answer said. Its cost is the access check's, not back-to-source.
   * @throws ShoalError as readRange
   */
  async probe(target: OriginTarget): Promise<{ totalBytes: number }> {
    let totalBytes = -1;
    const sink: OriginSink = {
      head: (head) => (totalBytes = head.totalBytes),
      data: () => undefined,
      ...NOTHING_IN_PLACE,
      stopped: () => false,
    };
    const deadlineMs = this.#clock.nowMs() + this.#answerDeadlineMs;
    const reader = await this.#ask(
      target,
      clampRange({ offsetBytes: 0, lengthBytes: 1, totalBytes: null }),
      sink,
      deadlineMs,
      { requests: 0 },
      false,
    );
    reader.finish();
    return { totalBytes };
  }

  /**
   * Passes a request through: GET or HEAD, with the Accept and Authorization it came with. Any
   * status is an answer.
   * @throws ShoalError ORIGIN_UNREACHABLE, ORIGIN_TIMEOUT, ORIGIN_BROKEN (longer than
   * RELAY_BODY_BYTES_MAX, encoded), HOST_NOT_ALLOWED
   */
  async relay(request: {
    method: string;
    url: string;
    upstreamHost: string;
    headers: Record<string, string>;
  }): Promise<RelayAnswer> {
    const headers: Record<string, string> = {};
    for (const name of RELAYED_REQUEST_HEADERS)
      if (request.headers[name] !== undefined) headers[name] = request.headers[name];
    const body = new BodyCollector(RELAY_BODY_BYTES_MAX, 'refuse');
    const answer: RelayAnswer = { status: 0, headers: {}, body: new Uint8Array(0) };
    const reader: AnswerReader = {
      head(status, answerHeaders) {
        answer.status = status;
        for (const name of RELAYED_ANSWER_HEADERS)
          if (answerHeaders[name] !== undefined) answer.headers[name] = answerHeaders[name];
        return 'more';
      },
      data: (chunk) => body.add(chunk),
      ...NOTHING_IN_PLACE,
      stopped: () => false,
    };
    const method = request.method === 'HEAD' ? 'HEAD' : 'GET';
    const deadlineMs = this.#clock.nowMs() + this.#answerDeadlineMs;
    await this.#follow(
      {
        method,
        start: splitUrl(request.url),
        home: splitUrl(request.url),
        authorization: request.headers['authorization'],
        headers,
        deadlineMs,
        cost: { requests: 0 },
        isPlain: false,
      },
      reader,
    );
    answer.body = body.bytes();
    return answer;
  }

  /** The status of `<origin>/v2/` to a request without credentials. Throws as `relay`. */
  async ping(origin: string): Promise<number> {
    const url = splitUrl(`${origin}/v2/`);
    if (!this.#allow.mayAsk(url.hostname, url.port))
      throw new ShoalError('HOST_NOT_ALLOWED', `${url.host} is not on the allow-list of this node`);
    let status = 0;
    const reader: AnswerReader = {
      head(answered) {
        status = answered;
        return 'enough';
      },
      data: () => 'enough',
      ...NOTHING_IN_PLACE,
      stopped: () => false,
    };
    const request: ExchangeRequest = {
      method: 'GET',
      url,
      headers: { 'user-agent': 'shoal', 'accept-encoding': 'identity' },
      deadlineMs: this.#clock.nowMs() + PING_TIMEOUT_MS,
    };
    const transport = new UndiciTransport(this.#pingDispatcher);
    await exchange(request, reader, {
      ...this.#exchangeTools,
      headTimeoutMs: PING_TIMEOUT_MS,
      transport,
    });
    return status;
  }

  async close(): Promise<void> {
    this.#direct.close();
    await Promise.all([this.#dispatcher.destroy(), this.#pingDispatcher.destroy()]);
  }

  /**
   * One ranged request, at the remembered target first; when that has expired, once more through
   * the registry.
   */
  async #ask(
    target: OriginTarget,
    asked: AskedRange,
    sink: OriginSink,
    deadlineMs: number,
    cost: OriginCost,
    mayUseMemory: boolean,
  ): Promise<RangeReader> {
    const home = splitUrl(target.url);
    const { authorization } = target;
    const headers = {
      range: `bytes=${asked.offsetBytes}-${asked.endBytes - 1}`,
      ...(target.accept === undefined ? {} : { accept: target.accept }),
    };
    const common = { method: 'GET', home, authorization, headers, deadlineMs, cost } as const;
    const known = mayUseMemory ? this.#redirects.find(target.url, authorization) : null;
    const isHome = known?.url === joinUrl(home);
    if (known !== null && !isHome) {
      const reader = new RangeReader(asked, sink, target.upstreamHost);
      try {
        const request: FollowRequest = {
          ...common,
          start: splitUrl(known.url),
          isPlain: known.isPlain,
        };
        await this.#follow(request, reader);
        if (!request.isPlain) this.#redirects.notPlain(target.url, authorization);
        if (reader.refusedStatus === null) return reader;
        this.#redirects.forget(target.url, authorization);
        if (!EXPIRED.has(reader.refusedStatus)) throw reader.refusal();
      } catch (thrown) {
        this.#redirects.forget(target.url, authorization);
        if (!(thrown instanceof NotPlain)) throw thrown;
      }
    }
    const reader = new RangeReader(asked, sink, target.upstreamHost);
    const request: FollowRequest = { ...common, start: home, isPlain: isHome && known.isPlain };
    const last = await this.#follow(request, reader);
    if (reader.refusedStatus !== null) throw reader.refusal();
    const bucket = last === home ? null : bucketOf(home, last);
    if (bucket !== null) this.#redirected(bucket);
    if (last !== home || (!isHome && reader.isPlain))
      this.#redirects.remember(target.url, authorization, {
        url: joinUrl(last),
        isPlain: reader.isPlain,
      });
    else if (!request.isPlain) this.#redirects.notPlain(target.url, authorization);
    return reader;
  }

  /**
   * Sends a request and follows its redirects; `reader` sees the last answer only. Returns the URL
   * that gave it.
   */
  async #follow(request: FollowRequest, reader: AnswerReader): Promise<SplitUrl> {
    let at = request.start;
    for (let hops = 0; hops <= ORIGIN_REDIRECTS_MAX; hops++) {
      if (!this.#allow.mayAsk(at.hostname, at.port))
        throw new ShoalError(
          'HOST_NOT_ALLOWED',
          `${at.hostname}:${at.port} is not on the allow-list of this node`,
        );
      const headers: Record<string, string> = {
        'user-agent': 'shoal',
        ...request.headers,
        'accept-encoding': 'identity',
      };
      if (at.origin === request.home.origin && request.authorization !== undefined)
        headers['authorization'] = request.authorization;
      const hop = new HopReader(reader, at);
      await this.#exchange(
        request,
        { method: request.method, url: at, headers, deadlineMs: request.deadlineMs },
        hop,
      );
      if (hop.location === null) return at;
      at = hop.location;
    }
    throw new ShoalError(
      'ORIGIN_BROKEN',
      `${request.home.host} redirects more than ${ORIGIN_REDIRECTS_MAX} times`,
    );
  }

  /**
   * One request and its answer: straight into place where it started and is known to answer so,
   * else by a general client.
   */
  async #exchange(
    request: FollowRequest,
    hop: ExchangeRequest,
    reader: AnswerReader,
  ): Promise<void> {
    if (request.isPlain && hop.url === request.start) {
      request.cost.requests++;
      try {
        await exchange(hop, reader, { ...this.#exchangeTools, transport: this.#direct });
        return;
      } catch (thrown) {
        if (!(thrown instanceof NotPlain)) throw thrown;
        // A signature that has expired: the registry has to be asked for another one.
        if (thrown.status !== null && EXPIRED.has(thrown.status) && hop.url !== request.home)
          throw thrown;
        // A redirect or a refusal says nothing about the next answer.
        if (thrown.status === null || thrown.status < 300) request.isPlain = false;
      }
    }
    request.cost.requests++;
    await exchange(hop, reader, this.#exchangeTools);
  }
}

/** Of a reader that takes its body piece by piece only. */
const NOTHING_IN_PLACE = {
  room(): Uint8Array {
    throw new Error('nothing is put in place here');
  },
  placed(): never {
    throw new Error('nothing is put in place here');
  },
};

interface FollowRequest {
  method: 'GET' | 'HEAD';
  start: SplitUrl;
  /** The only origin the credential is for. */
  home: SplitUrl;
  authorization: string | undefined;
  headers: Record<string, string>;
  deadlineMs: number;
  cost: OriginCost;
  /**
   * Whether `start` answers as a DirectTransport takes it; becomes false when it turns out not to.
   */
  isPlain: boolean;
}

/** Keeps redirects from the reader, and encoded bodies from everybody. */
class HopReader implements AnswerReader {
  location: SplitUrl | null = null;
  readonly #reader: AnswerReader;
  readonly #at: SplitUrl;
  #discardedBytes = 0;

  constructor(reader: AnswerReader, at: SplitUrl) {
    this.#reader = reader;
    this.#at = at;
  }

  head(status: number, headers: OriginHeaders): 'more' | 'enough' {
    const { location } = headers;
    if (REDIRECTS.has(status) && location !== undefined) {
      this.location = resolveLocation(location, this.#at);
      return 'more';
    }
    const encoding = headers['content-encoding']?.trim().toLowerCase();
    if (encoding !== undefined && encoding !== '' && encoding !== 'identity')
      throw new ShoalError(
        'ORIGIN_BROKEN',
        `${this.#at.host} sent an encoded body, which was not asked for`,
      );
    return this.#reader.head(status, headers);
  }

  data(chunk: Uint8Array): 'more' | 'enough' {
    if (this.location === null) return this.#reader.data(chunk);
    // The few words under a redirect are read to their end, so that the connection can be used
    // again.
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

/** An absolute Location is taken as it is written: a signature holds for these very bytes. */
function resolveLocation(location: string, at: SplitUrl): SplitUrl {
  try {
    const bare = location.replace(/#.*$/, '');
    if (/^https?:\/\//i.test(bare)) return splitUrl(bare);
    return splitUrl(new URL(bare, joinUrl(at)).href.replace(/#.*$/, ''));
  } catch {
    throw new ShoalError('ORIGIN_BROKEN', `${at.host} redirects to what is no http or https URL`);
  }
}
