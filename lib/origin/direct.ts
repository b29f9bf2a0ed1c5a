import {
  connect as connectPlain,
  isIP,
  type LookupFunction,
  type OnReadOpts,
  type Socket,
} from 'node:net';
import { connect as connectTls } from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { ConnectionBroken, HttpConnection, IdleConnections } from '../io/http-connection.ts';
import type { ResponseHead } from '../io/response-head.ts';
import { ORIGIN_KEEP_ALIVE_MS, ORIGIN_TLS_SESSIONS_MAX } from './limits.ts';
import { ORIGIN_REQUESTS_MAX } from '../limits.ts';
import type { AllowList } from '../registry/allow.ts';
import { checkedLookup, type AgentOptions } from './agent.ts';
import { originError } from './error.ts';
import type { AnswerEvents, ExchangeRequest, Transport } from './exchange.ts';
import { bareHost, type SplitUrl } from '../registry/url.ts';

/**
 * The answer is not of the kind that a DirectTransport takes: nobody has seen any of it, and
 * another transport may ask again.
 */
export class NotPlain extends Error {
  /** Of the answer, when its head could be read. */
  readonly status: number | null;

  constructor(status: number | null) {
    super('not a plain answer');
    this.status = status;
  }
}

/** What a header's value may hold (RFC 9110, 5.5). */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Reads parts of objects with the socket writing straight to where the bytes belong: half the
 * processor time of a general client. It takes one kind of answer, by far the most frequent one:
 * 206 with a Content-Length and as it was stored. Whatever else comes fails with NotPlain.
 */
export class DirectTransport implements Transport {
  readonly #allow: AllowList;
  readonly #options: AgentOptions;
  readonly #idle: IdleConnections;
  readonly #sessions = new LRUCache<string, Buffer>({ max: ORIGIN_TLS_SESSIONS_MAX });

  constructor(options: AgentOptions, clock: Clock) {
    this.#allow = options.allow;
    this.#options = options;
    this.#idle = new IdleConnections(
      () => clock.nowMs(),
      ORIGIN_REQUESTS_MAX,
      ORIGIN_KEEP_ALIVE_MS,
    );
  }

  send(request: ExchangeRequest, events: AnswerEvents, isRepeat: boolean): () => void {
    const { url } = request;
    const kept = isRepeat ? null : this.#idle.take(url.origin);
    let headSeen = false;
    let placedBytes = 0;
    const connection = kept ?? new HttpConnection((onread) => this.#connect(url, onread));
    const head = requestHead(request);
    if (head === null) events.failed(new NotPlain(null), false);
    else {
      connection
        .exchange(head, {
          head(answer) {
            if (!isPlain(answer)) throw new NotPlain(answer.status);
            headSeen = true;
            events.head(answer.status, answer.headers);
            return 'place';
          },
          room: (fromBytes, bodyBytes) => events.room(bodyBytes - fromBytes),
          placed(bytes) {
            events.placed(bytes - placedBytes);
            placedBytes = bytes;
          },
        })
        .then(
          () => {
            this.#idle.give(url.origin, connection);
            events.ended();
          },
          (thrown: unknown) => {
            const error = failure(thrown, url.host, headSeen);
            events.failed(error, kept !== null && !headSeen && !(error instanceof NotPlain));
          },
        );
    }
    return () => connection.destroy(new ShoalError('CANCELLED', 'broken off'));
  }

  /** Whether a host is reached without a proxy, as this transport needs it. */
  serves(url: SplitUrl): boolean {
    return this.#options.networks.proxyFor(url) === null;
  }

  close(): void {
    this.#idle.close();
  }

  /**
   * What is checked against the allow-list is the address the socket connects to; see
   * createOriginAgent.
   */
  #connect(url: SplitUrl, onread: OnReadOpts): Socket {
    const { connectTimeoutMs, ca, resolve, networks } = this.#options;
    const host = bareHost(url.hostname);
    const lookup: LookupFunction = checkedLookup(resolve, this.#allow, url.port);
    const to = { host, port: url.port, lookup, noDelay: true, onread };
    const session = this.#sessions.get(url.origin);
    const socket =
      url.scheme === 'http'
        ? connectPlain(to)
        : connectTls({
            ...to,
            ALPNProtocols: ['http/1.1'],
            ...(isIP(host) === 0 ? { servername: host } : {}),
            ...(ca === undefined ? {} : { ca }),
            ...networks.tlsFor(url),
            ...(session === undefined ? {} : { session }),
          });
    if (url.scheme === 'https')
      socket.on('session', (fresh: Buffer) => this.#sessions.set(url.origin, fresh));
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error('connect'), { code: 'ETIMEDOUT' })),
      connectTimeoutMs,
    );
    const connected = (): void => clearTimeout(timer);
    return socket
      .once(url.scheme === 'http' ? 'connect' : 'secureConnect', connected)
      .once('close', connected);
  }
}

/**
 * A head that is none, or not within the bounds here, may be one to a general client: nothing of it
 * was used.
 */
function failure(thrown: unknown, host: string, headSeen: boolean): Error {
  if (thrown instanceof NotPlain) return thrown;
  if (!(thrown instanceof ConnectionBroken)) return originError(thrown, host, headSeen);
  if (thrown.code === 'HEAD') return new NotPlain(null);
  return originError(thrown.code === 'SOCKET' ? thrown.cause : thrown, host, headSeen);
}

function isPlain({ status, headers }: ResponseHead): boolean {
  const encoding = headers['content-encoding'];
  return status === 206 && (encoding === undefined || encoding === 'identity');
}

/** The bytes of a request, or null when one of its headers cannot be sent as it is. */
function requestHead({ method, url, headers }: ExchangeRequest): string | null {
  const target = url.query === undefined ? url.path : `${url.path}?${url.query}`;
  let head = `${method} ${target} HTTP/1.1\r\nhost: ${url.host}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (!FIELD_VALUE.test(value)) return null;
    head += `${name}: ${value}\r\n`;
  }
  return `${head}\r\n`;
}
