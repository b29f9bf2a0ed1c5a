import type { Dispatcher } from 'undici';
import { originError } from './error.ts';
import type { AnswerEvents, ExchangeRequest, Transport } from './exchange.ts';
import type { OriginHeaders } from './content-range.ts';

/** Carries requests over undici, which takes every answer that HTTP/1.1 allows. */
export class UndiciTransport implements Transport {
  readonly #dispatcher: Dispatcher;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  send({ url, method, headers }: ExchangeRequest, events: AnswerEvents): () => void {
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
        onResponseError: (_controller, error) =>
          events.failed(
            originError(error, url.host, headSeen),
            !headSeen && isLostConnection(error),
          ),
      },
    );
    return () => {
      aborted = true;
      controller?.abort(new Error('broken off'));
    };
  }
}

function isLostConnection(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

/** Challenges stay on lines of their own: of several in one line docker and containerd read the first only. */
function joined(headers: Record<string, string | string[] | undefined>): OriginHeaders {
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
