import { LRUCache } from 'lru-cache';
import type { Dispatcher } from 'undici';
import { isLostConnection, isNotHttp, originError } from './error.ts';
import type { AnswerEvents, ExchangeRequest, Transport } from './exchange.ts';
import { LENIENT_MS, LENIENT_ORIGINS_MAX } from './limits.ts';
import type { OriginHeaders } from './content-range.ts';
import type { SplitUrl } from '../registry/url.ts';
import type { Networks } from './network.ts';

/**
 * Carries requests over undici. Answers that undici refuses although HTTP/1.1 allows them are asked
 * for once more over `fallback`, and those of the same origin at once for LENIENT_MS.
 */
export class UndiciTransport implements Transport {
  readonly #dispatcher: Dispatcher;
  readonly #fallback: Transport;
  readonly #networks: Pick<Networks, 'proxyFor'>;
  readonly #refusedBy = new LRUCache<string, true>({ max: LENIENT_ORIGINS_MAX, ttl: LENIENT_MS });

  constructor(dispatcher: Dispatcher, fallback: Transport, networks: Pick<Networks, 'proxyFor'>) {
    this.#dispatcher = dispatcher;
    this.#fallback = fallback;
    this.#networks = networks;
  }

  /** The host as an error names it. */
  #nameOf(url: SplitUrl): string {
    const proxy = this.#networks.proxyFor(url);
    return proxy === null ? url.host : `${url.host} through the proxy ${new URL(proxy).host}`;
  }

  send(request: ExchangeRequest, events: AnswerEvents, isRepeat: boolean): () => void {
    const { origin } = request.url;
    if (this.#refusedBy.has(origin)) return this.#fallback.send(request, events, isRepeat);
    let abort: () => void = () => undefined;
    let aborted = false;
    abort = this.#send(request, events, () => {
      this.#refusedBy.set(origin, true);
      if (!aborted) abort = this.#fallback.send(request, events, isRepeat);
    });
    return () => {
      aborted = true;
      abort();
    };
  }

  #send(
    { url, method, headers }: ExchangeRequest,
    events: AnswerEvents,
    refused: () => void,
  ): () => void {
    const path = url.query === undefined ? url.path : `${url.path}?${url.query}`;
    let controller: Dispatcher.DispatchController | null = null;
    let aborted = false;
    let headSeen = false;
    this.#dispatcher.dispatch(
      { origin: url.origin, path, method, headers },
      {
        onRequestStart: (started) => {
          controller = started;
          if (aborted) controller.abort(new Error('no longer wanted'));
        },
        onResponseStart: (started, status, incoming) => {
          if (status < 200 || aborted) return;
          headSeen = true;
          events.head(status, joined(incoming), started);
        },
        onResponseData: (_controller, chunk) => {
          if (!aborted) events.data(chunk);
        },
        onResponseEnd: () => events.ended(),
        onResponseError: (_controller, error) => {
          const isRefused = isRefusedAnswer(error);
          // Too late for this answer, but not for those that follow.
          if (headSeen && isRefused) this.#refusedBy.set(url.origin, true);
          if (!headSeen && !aborted && isRefused) refused();
          else
            events.failed(
              originError(error, this.#nameOf(url), headSeen),
              !headSeen && isLostConnection(error),
            );
        },
      },
    );
    return () => {
      aborted = true;
      controller?.abort(new Error('broken off'));
    };
  }
}

/**
 * Whether undici's parser refuses an answer, which a lenient one may take: "bad response" is its
 * word for an interim answer that it does not expect.
 */
function isRefusedAnswer(error: unknown): boolean {
  return error instanceof Error && (error.message === 'bad response' || isNotHttp(error));
}

/**
 * Challenges stay on lines of their own: of several in one line docker and containerd read the
 * first only.
 */
export function joined(headers: Record<string, string | string[] | undefined>): OriginHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([given, value]) => {
      const name = given.toLowerCase();
      return [
        name,
        Array.isArray(value) ? value.join(name === 'www-authenticate' ? '\n' : ', ') : value,
      ];
    }),
  );
}
