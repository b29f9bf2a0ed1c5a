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
  /** Monotonic time by which the answer's head must have come, whatever the head timeout. */
  deadlineMs: number;
}

/** Holds the body of an answer back, and lets it go on. */
export interface Flow {
  pause(): void;
  resume(): void;
}

/**
 * Takes the answer. Each method may throw, which aborts the exchange and becomes its outcome.
 * `enough` ends it early.
 */
export interface AnswerReader {
  /** `flow` is null where the transport cannot pause. */
  head(status: number, headers: OriginHeaders, flow: Flow | null): 'more' | 'enough';
  data(chunk: Uint8Array): 'more' | 'enough';
  /**
   * Where the next bytes of the body, at most `bytesMax`, may be written instead of a call of
   * `data`. Called only when the answer is a plain part.
   */
  room(bytesMax: number): Uint8Array;
  /** So many bytes were written at the start of the last room. */
  placed(bytes: number): 'more' | 'enough';
  /** Called every LOOK_MS: whether the answer is no longer wanted. */
  stopped(): boolean;
}

/** Receives an answer as it comes, until it has ended or failed. */
export interface AnswerEvents {
  /** `flow` is missing where the transport cannot pause. */
  head(status: number, headers: OriginHeaders, flow?: Flow): void;
  data(chunk: Uint8Array): void;
  room(bytesMax: number): Uint8Array;
  placed(bytes: number): void;
  ended(): void;
  /** `lostIdle`: a kept-alive connection was lost before any byte of the answer. */
  failed(error: Error, lostIdle: boolean): void;
}

/** Carries requests to an origin. */
export interface Transport {
  /** Sends the request; `isRepeat`: on a new connection. Returns a function that aborts it. */
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
    // The server closed an idle connection just as it was used again. That is no sign of an outage.
    if (!first.lostIdle) throw thrown;
    await new Exchange(request, reader, tools, true).done;
  }
}

class Exchange {
  readonly done: Promise<void>;
  /** The kept-alive connection was lost before any byte of the answer. */
  lostIdle = false;
  readonly #request: ExchangeRequest;
  readonly #reader: AnswerReader;
  readonly #tools: ExchangeTools;
  #settle: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #abort: (() => void) | null = null;
  #timer: Timer | null = null;
  #headSeen = false;
  #isPaused = false;
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
        head: (status, headers, flow) => {
          this.#headSeen = true;
          this.#startWindow();
          whileOpen(() => this.#reader.head(status, headers, this.#watched(flow)));
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

  /** A body that is held back must not count as a silent origin. */
  #watched(flow: Flow | undefined): Flow | null {
    if (flow === undefined) return null;
    return {
      pause: () => {
        this.#isPaused = true;
        flow.pause();
      },
      resume: () => {
        this.#isPaused = false;
        this.#startWindow();
        flow.resume();
      },
    };
  }

  #startWindow(): void {
    this.#windowStartMs = this.#tools.clock.nowMs();
    this.#windowBytes = 0;
  }

  #take(step: () => 'more' | 'enough'): void {
    try {
      if (step() === 'enough') this.#breakOff(null);
    } catch (thrown) {
      this.#breakOff(ShoalError.from(thrown, 'INTERNAL'));
    }
  }

  /** Checks every LOOK_MS that the answer is still wanted and still comes. */
  #watch(): void {
    this.#timer = this.#tools.clock.after(LOOK_MS, () => {
      if (this.#settle === null) return;
      const nowMs = this.#tools.clock.nowMs();
      const { host } = this.#request.url;
      if (this.#reader.stopped())
        this.#breakOff(new ShoalError('CANCELLED', `the answer of ${host} is no longer wanted`));
      else if (!this.#headSeen && nowMs >= this.#headDueMs)
        this.#breakOff(new ShoalError('ORIGIN_TIMEOUT', `${host} did not answer in time`));
      else if (
        this.#headSeen &&
        !this.#isPaused &&
        nowMs - this.#windowStartMs >= this.#tools.silenceMs
      )
        this.#nextWindow();
      if (this.#settle !== null) this.#watch();
    });
  }

  #nextWindow(): void {
    if (this.#windowBytes < ORIGIN_WINDOW_BYTES_MIN) {
      this.#breakOff(
        new ShoalError(
          'ORIGIN_TIMEOUT',
          `${this.#request.url.host} sent ${this.#windowBytes} bytes in ` +
            `${this.#tools.silenceMs} ms`,
        ),
      );
    }
    this.#startWindow();
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
