import type { Clock, Timer } from '../clock.ts';
import { ShoalError } from '../errors.ts';
import { LOOK_MS } from '../limits.ts';
import { ORIGIN_WINDOW_BYTES_MIN } from './limits.ts';
import type { OriginHeaders } from './content-range.ts';
import type { SplitUrl } from '../registry/url.ts';

export interface ExchangeRequest {
  method: 'GET' | 'HEAD';
  url: SplitUrl;
  headers: Record<string, string>;
  /** Monotonic time by which the answer's head must be there, whatever the head timeout. */
  deadlineMs: number;
}

/**
 * Who takes the answer. Either may throw, which breaks the exchange off and becomes its outcome.
 * `enough` ends it early.
 */
export interface AnswerReader {
  head(status: number, headers: OriginHeaders): 'more' | 'enough';
  data(chunk: Uint8Array): 'more' | 'enough';
  /**
   * Where the next bytes of the body, at most `bytesMax`, may be put in place of `data`; asked only
   * of a reader whose answer is a plain part.
   */
  room(bytesMax: number): Uint8Array;
  /** So many bytes were put at the start of the last room. */
  placed(bytes: number): 'more' | 'enough';
  /** Asked every LOOK_MS: whether nobody wants the answer any more. */
  stopped(): boolean;
}

/** Who hears of an answer as it comes, until it has ended or failed. */
export interface AnswerEvents {
  head(status: number, headers: OriginHeaders): void;
  data(chunk: Uint8Array): void;
  room(bytesMax: number): Uint8Array;
  placed(bytes: number): void;
  ended(): void;
  /** `lostIdle`: a connection that was kept open went away before anything came back. */
  failed(error: Error, lostIdle: boolean): void;
}

/** What carries requests to an origin. */
export interface Transport {
  /** Sends it; `isRepeat`: on a new connection. Returns what breaks it off. */
  send(request: ExchangeRequest, events: AnswerEvents, isRepeat: boolean): () => void;
}

export interface ExchangeTools {
  transport: Transport;
  clock: Clock;
  headTimeoutMs: number;
  silenceMs: number;
}

/**
 * One request and its answer on one connection. Resolves when the answer has ended or was enough.
 * @throws ShoalError ORIGIN_UNREACHABLE, ORIGIN_TIMEOUT, ORIGIN_BROKEN, HOST_NOT_ALLOWED,
 * CANCELLED, or what the reader threw
 */
export async function exchange(
  request: ExchangeRequest,
  reader: AnswerReader,
  tools: ExchangeTools,
): Promise<void> {
  const first = new Exchange(request, reader, tools, false);
  try {
    await first.done;
  } catch (thrown) {
    // The server closed an idle connection just as it was used again: not its fault, nor a sign
    // that it is down.
    if (!first.lostIdle) throw thrown;
    await new Exchange(request, reader, tools, true).done;
  }
}

class Exchange {
  readonly done: Promise<void>;
  /** The connection went away before anything came back. */
  lostIdle = false;
  readonly #request: ExchangeRequest;
  readonly #reader: AnswerReader;
  readonly #tools: ExchangeTools;
  #settle: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #abort: (() => void) | null = null;
  #timer: Timer | null = null;
  #headSeen = false;
  #windowStartMs = 0;
  #windowBytes = 0;
  #headDueMs: number;

  constructor(
    request: ExchangeRequest,
    reader: AnswerReader,
    tools: ExchangeTools,
    isRepeat: boolean,
  ) {
    this.#request = request;
    this.#reader = reader;
    this.#tools = tools;
    const startMs = tools.clock.nowMs();
    this.#headDueMs = Math.min(request.deadlineMs, startMs + tools.headTimeoutMs);
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#watch();
    this.#send(isRepeat);
  }

  #send(isRepeat: boolean): void {
    const whileOpen = (step: () => 'more' | 'enough'): void => {
      if (this.#settle !== null) this.#take(step);
    };
    const abort = this.#tools.transport.send(
      this.#request,
      {
        head: (status, headers) => {
          this.#headSeen = true;
          this.#windowStartMs = this.#tools.clock.nowMs();
          whileOpen(() => this.#reader.head(status, headers));
        },
        data: (chunk) => {
          this.#windowBytes += chunk.length;
          whileOpen(() => this.#reader.data(chunk));
        },
        room: (bytesMax) => this.#reader.room(bytesMax),
        placed: (bytes) => {
          this.#windowBytes += bytes;
          whileOpen(() => this.#reader.placed(bytes));
        },
        ended: () => this.#end(null),
        failed: (error, lostIdle) => {
          this.lostIdle = lostIdle;
          this.#end(error);
        },
      },
      isRepeat,
    );
    if (this.#settle === null) abort();
    else this.#abort = abort;
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
    this.#timer = this.#tools.clock.after(LOOK_MS, () => {
      if (this.#settle === null) return;
      const nowMs = this.#tools.clock.nowMs();
      const { host } = this.#request.url;
      if (this.#reader.stopped())
        this.#breakOff(new ShoalError('CANCELLED', `the answer of ${host} is not wanted any more`));
      else if (!this.#headSeen && nowMs >= this.#headDueMs)
        this.#breakOff(new ShoalError('ORIGIN_TIMEOUT', `${host} did not answer in time`));
      else if (this.#headSeen && nowMs - this.#windowStartMs >= this.#tools.silenceMs)
        this.#nextWindow(nowMs);
      if (this.#settle !== null) this.#watch();
    });
  }

  #nextWindow(nowMs: number): void {
    if (this.#windowBytes < ORIGIN_WINDOW_BYTES_MIN) {
      this.#breakOff(
        new ShoalError(
          'ORIGIN_TIMEOUT',
          `${this.#request.url.host} sent ${this.#windowBytes} bytes in ${this.#tools.silenceMs} ms`,
        ),
      );
    }
    this.#windowStartMs = nowMs;
    this.#windowBytes = 0;
  }

  #breakOff(error: Error | null): void {
    this.#end(error);
    this.#abort?.();
  }

  #end(error: Error | null): void {
    const settle = this.#settle;
    if (settle === null) return;
    this.#settle = null;
    this.#timer?.cancel();
    if (error === null) settle.resolve();
    else settle.reject(error);
  }
}
