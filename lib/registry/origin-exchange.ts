import type { Dispatcher } from 'undici';
import type { Clock, Timer } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { CANCEL_POLL_MS, ORIGIN_WINDOW_BYTES_MIN } from '../limits.ts';
import { originError } from './origin-error.ts';
import type { OriginHeaders } from './origin-range.ts';
import type { SplitUrl } from './url.ts';

export interface ExchangeRequest {
  method: 'GET' | 'HEAD';
  url: SplitUrl;
  headers: Record<string, string>;
  /** Monotonic time by which the answer's head must be there, whatever the head timeout. */
  deadlineMs: number;
}

/** Who takes the answer. Either may throw, which breaks the exchange off and becomes its outcome. `enough` ends it early. */
export interface AnswerReader {
  head(status: number, headers: OriginHeaders): 'more' | 'enough';
  data(chunk: Uint8Array): 'more' | 'enough';
  /** Asked every CANCEL_POLL_MS: whether nobody wants the answer any more. */
  stopped(): boolean;
}

export interface ExchangeTools {
  dispatcher: Dispatcher;
  clock: Clock;
  headTimeoutMs: number;
  silenceMs: number;
}

/**
 * One request and its answer on one connection. Resolves when the answer has ended or was enough.
 * @throws ShoalError ORIGIN_UNREACHABLE, ORIGIN_TIMEOUT, ORIGIN_BROKEN, HOST_NOT_ALLOWED, CANCELLED, or what the reader threw
 */
export async function exchange(request: ExchangeRequest, reader: AnswerReader, tools: ExchangeTools): Promise<void> {
  const first = new Exchange(request, reader, tools);
  try {
    await first.done;
  } catch (thrown) {
    // The server closed an idle connection just as it was used again: not its fault, nor a sign that it is down.
    if (!first.lostIdle) throw thrown;
    await new Exchange(request, reader, tools).done;
  }
}

class Exchange {
  readonly done: Promise<void>;
  /** The connection went away before anything came back. */
  lostIdle = false;
  readonly #request: ExchangeRequest;
  readonly #reader: AnswerReader;
  readonly #tools: ExchangeTools;
  #settle: { resolve: () => void; reject: (error: ShoalError) => void } | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #timer: Timer | null = null;
  #headSeen = false;
  #windowStartMs = 0;
  #windowBytes = 0;
  #headDueMs: number;

  constructor(request: ExchangeRequest, reader: AnswerReader, tools: ExchangeTools) {
    this.#request = request;
    this.#reader = reader;
    this.#tools = tools;
    const startMs = tools.clock.nowMs();
    this.#headDueMs = Math.min(request.deadlineMs, startMs + tools.headTimeoutMs);
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#watch();
    this.#dispatch();
  }

  #dispatch(): void {
    const { url, method, headers } = this.#request;
    const path = url.query === undefined ? url.path : `${url.path}?${url.query}`;
    this.#tools.dispatcher.dispatch({ origin: url.origin, path, method, headers }, {
      onRequestStart: (controller) => {
        this.#controller = controller;
        if (this.#settle === null) controller.abort(new Error('no longer wanted'));
      },
      onResponseStart: (_controller, status, incoming) => {
        if (status < 200 || this.#settle === null) return;
        this.#headSeen = true;
        this.#windowStartMs = this.#tools.clock.nowMs();
        this.#take(() => this.#reader.head(status, joined(incoming)));
      },
      onResponseData: (_controller, chunk) => {
        if (this.#settle === null) return;
        this.#windowBytes += chunk.length;
        this.#take(() => this.#reader.data(chunk));
      },
      onResponseEnd: () => this.#end(null),
      onResponseError: (_controller, error) => {
        this.lostIdle = !this.#headSeen && isLostConnection(error);
        this.#end(originError(error, url.host, this.#headSeen));
      },
    });
  }

  #take(step: () => 'more' | 'enough'): void {
    try {
      if (step() === 'enough') this.#breakOff(null);
    } catch (thrown) {
      this.#breakOff(ShoalError.from(thrown, 'INTERNAL'));
    }
  }

  /** Looks now and then whether the answer is still wanted, and whether it still comes. */
  #watch(): void {
    this.#timer = this.#tools.clock.after(CANCEL_POLL_MS, () => {
      if (this.#settle === null) return;
      const nowMs = this.#tools.clock.nowMs();
      const { host } = this.#request.url;
      if (this.#reader.stopped()) this.#breakOff(new ShoalError('CANCELLED', `the answer of ${host} is not wanted any more`));
      else if (!this.#headSeen && nowMs >= this.#headDueMs) this.#breakOff(new ShoalError('ORIGIN_TIMEOUT', `${host} did not answer in time`));
      else if (this.#headSeen && nowMs - this.#windowStartMs >= this.#tools.silenceMs) this.#nextWindow(nowMs);
      if (this.#settle !== null) this.#watch();
    });
  }

  #nextWindow(nowMs: number): void {
    if (this.#windowBytes < ORIGIN_WINDOW_BYTES_MIN) {
      this.#breakOff(new ShoalError('ORIGIN_TIMEOUT', `${this.#request.url.host} sent ${this.#windowBytes} bytes in ${this.#tools.silenceMs} ms`));
    }
    this.#windowStartMs = nowMs;
    this.#windowBytes = 0;
  }

  #breakOff(error: ShoalError | null): void {
    this.#end(error);
    this.#controller?.abort(new Error('broken off'));
  }

  #end(error: ShoalError | null): void {
    const settle = this.#settle;
    if (settle === null) return;
    this.#settle = null;
    this.#timer?.cancel();
    if (error === null) settle.resolve();
    else settle.reject(error);
  }
}

function isLostConnection(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

function joined(headers: Record<string, string | string[] | undefined>): OriginHeaders {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value]));
}
