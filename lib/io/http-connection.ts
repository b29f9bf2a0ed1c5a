import type { OnReadOpts, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { CONNECTION_HEAD_BYTES_MAX } from '../limits.ts';
import { Gathering } from './gathering.ts';
import { TLS_RECORD_BYTES_MAX, WINDOW_BYTES_FREE } from './limits.ts';
import { threadLooks } from './looks.ts';
import { threadRoundTrips, windowFor } from './receive-window.ts';
import { parseHead, type ResponseHead } from './response-head.ts';
import { socketOptions, type SocketOptions } from './socket-options.ts';

/** Receives a response's body. */
export interface BodySink {
  /**
   * Called with the head. Returns whether the body goes into `room` or is collected in memory,
   * which is for small bodies. May throw, which ends the connection.
   */
  head(head: ResponseHead): 'place' | 'collect';
  /** Free memory for body bytes [from, length), to read into directly. */
  room(fromBytes: number, lengthBytes: number): Uint8Array;
  /** `receivedBytes` of the body are in place. May throw, which ends the connection. */
  placed(receivedBytes: number): void;
}

export interface HttpResponse {
  head: ResponseHead;
  /** The collected body; empty if it was placed. */
  body: Buffer;
}

/**
 * Why a connection ended: the socket failed (SOCKET, with the cause), the peer closed it (CLOSED),
 * or sent an unsupported response header (HEAD) or unexpected bytes (BODY).
 */
export class ConnectionBroken extends Error {
  readonly code: 'SOCKET' | 'CLOSED' | 'HEAD' | 'BODY';

  constructor(code: ConnectionBroken['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** How the bytes of a response are to be received. */
export interface LineHints {
  /**
   * The rate of this node's line, where the response shares it with those of others (windowFor);
   * null or absent: not known.
   */
  bytesPerMs?: number | null;
  /** How long bytes may be gathered; default GATHER_MS. */
  gatherMs?: number | undefined;
}

interface Exchange {
  sink: BodySink;
  line: LineHints;
  resolve(response: HttpResponse): void;
  reject(error: unknown): void;
}

/**
 * One HTTP/1.1 connection, one exchange at a time. Body bytes are read straight into the sink's
 * memory (`onread` with a buffer chosen before each read); only those that arrive with the head are
 * copied. Responses without a length are refused: a truncated body must not look whole.
 *
 *   connecting -> idle <-> (head -> body); any error or close -> dead
 */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #headBuffer = Buffer.alloc(CONNECTION_HEAD_BYTES_MAX);
  #headBytes = 0;
  #exchange: Exchange | null = null;
  #head: ResponseHead | null = null;
  #place = false;
  #bodyBytes = 0;
  #collected: Buffer = Buffer.alloc(0);
  #dead = false;
  readonly #options: SocketOptions | null;
  /** OpenSSL may hold a partial TLS record: fewer bytes than plaintext are still to come. */
  readonly #reserveBytes: number;
  readonly #gathering = new Gathering();
  /** Current low-water mark of the socket, and the check for a flow that fell below it. */
  #lowWaterBytes = 1;
  #stopLooking: (() => void) | null = null;
  #readSinceLook = false;
  /** Bound of what the other side may have under way, once there was one. */
  #windowBytes: number | null = null;

  /** `open` creates the socket with the given `onread`. */
  constructor(
    open: (onread: OnReadOpts) => Socket,
    options: SocketOptions | null = socketOptions().options,
  ) {
    this.#options = options;
    this.#socket = open({ buffer: () => this.#target(), callback: (bytes) => this.#read(bytes) });
    this.#reserveBytes = this.#socket instanceof TLSSocket ? TLS_RECORD_BYTES_MAX : 0;
    this.#socket.on('error', (error) =>
      this.#fail(new ConnectionBroken('SOCKET', error.message, error)),
    );
    this.#socket.on('end', () => this.#fail(closed()));
    this.#socket.on('close', () => this.#fail(closed()));
  }

  get dead(): boolean {
    return this.#dead;
  }

  /**
   * Sends a request without a body and resolves once its response is complete. Rejects with
   * ConnectionBroken or the sink's error.
   */
  exchange(requestHead: string, sink: BodySink, line: LineHints = {}): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      this.#exchange = { sink, line, resolve, reject };
      this.#head = null;
      this.#headBytes = 0;
      this.#bodyBytes = 0;
      this.#socket.write(requestHead, 'latin1');
    });
  }

  /**
   * Closes the connection. The current exchange is rejected with `error`, and nothing more is read.
   */
  destroy(error: unknown): void {
    this.#fail(error);
  }

  #target(): Uint8Array {
    const head = this.#head;
    const exchange = this.#exchange;
    if (head === null || exchange === null) return this.#headBuffer.subarray(this.#headBytes);
    if (this.#place) return exchange.sink.room(this.#bodyBytes, head.contentLength);
    return this.#collected.subarray(this.#bodyBytes);
  }

  #read(bytes: number): boolean {
    if (this.#exchange === null) {
      this.#fail(new ConnectionBroken('BODY', 'sent bytes without a request'));
      return false;
    }
    try {
      if (this.#head === null) this.#readHead(bytes);
      else this.#took(bytes);
    } catch (thrown) {
      this.#fail(thrown);
    }
    return !this.#dead;
  }

  #readHead(bytes: number): void {
    this.#headBytes += bytes;
    const parsed = parseHead(this.#headBuffer.subarray(0, this.#headBytes));
    if (parsed === 'more') {
      if (this.#headBytes === this.#headBuffer.length)
        this.#fail(new ConnectionBroken('HEAD', 'sent a response header that is too long'));
      return;
    }
    if (parsed === 'bad') {
      this.#fail(new ConnectionBroken('HEAD', 'sent an invalid response header'));
      return;
    }
    const exchange = this.#exchange!;
    this.#head = parsed;
    this.#gathering.begin(performance.now(), exchange.line.gatherMs);
    this.#place = exchange.sink.head(parsed) === 'place';
    if (this.#dead) return;
    if (this.#place) this.#bound(exchange.line.bytesPerMs ?? null);
    else {
      if (parsed.contentLength > CONNECTION_HEAD_BYTES_MAX) {
        this.#fail(
          new ConnectionBroken(
            'HEAD',
            `sent a message of ${parsed.contentLength} bytes; the limit is ` +
              `${CONNECTION_HEAD_BYTES_MAX}`,
          ),
        );
        return;
      }
      this.#collected = Buffer.alloc(parsed.contentLength);
    }
    const early = this.#headBuffer.subarray(parsed.headBytes, this.#headBytes);
    if (early.length > parsed.contentLength) {
      this.#fail(new ConnectionBroken('BODY', 'sent more bytes than its Content-Length'));
      return;
    }
    if (early.length > 0) this.#target().set(early);
    this.#took(early.length);
  }

  #took(bytes: number): void {
    const exchange = this.#exchange!;
    const head = this.#head!;
    this.#bodyBytes += bytes;
    if (this.#place && bytes > 0) exchange.sink.placed(this.#bodyBytes);
    if (this.#dead) return;
    if (this.#place) this.#gather(bytes, head.contentLength - this.#bodyBytes);
    if (this.#bodyBytes < head.contentLength) return;
    this.#exchange = null;
    this.#head = null;
    this.#headBytes = 0;
    if (head.close) this.#fail(closed());
    exchange.resolve({ head, body: this.#place ? Buffer.alloc(0) : this.#collected });
  }

  /** Lets the kernel gather a piece of the body before it wakes this thread. */
  #gather(bytes: number, leftBytes: number): void {
    if (this.#options === null) return;
    this.#readSinceLook = true;
    const mayWaitFor = leftBytes - this.#reserveBytes;
    const wantedBytes = this.#gathering.next(bytes, mayWaitFor, performance.now());
    // A window that is full before the mark is reached would hold up the sender.
    this.#mark(Math.min(wantedBytes, Math.floor((this.#windowBytes ?? Infinity) / 2)));
  }

  /** Bounds what the other side may have under way, or frees what was bounded before. */
  #bound(lineBytesPerMs: number | null): void {
    const { remoteAddress } = this.#socket;
    if (lineBytesPerMs === null || this.#options === null || remoteAddress === undefined) return;
    const seenMs = this.#options.roundTripMs(this.#socket);
    if (seenMs === null) return;
    const bytes = windowFor(lineBytesPerMs, threadRoundTrips.leastMs(remoteAddress, seenMs));
    if (bytes === null && this.#windowBytes !== null)
      this.#options.setWindow(this.#socket, WINDOW_BYTES_FREE);
    this.#windowBytes = bytes;
    this.#renewBound();
  }

  /** The kernel forgets the bound as it enlarges the buffer. */
  #renewBound(): void {
    if (this.#windowBytes !== null) this.#options!.setWindow(this.#socket, this.#windowBytes);
  }

  #mark(bytes: number): void {
    if (bytes === this.#lowWaterBytes) return;
    if (!this.#options!.setLowWater(this.#socket, bytes)) return;
    this.#lowWaterBytes = bytes;
    this.#renewBound();
    if (bytes > 1) this.#stopLooking ??= threadLooks.add(() => this.#look());
    else {
      this.#stopLooking?.();
      this.#stopLooking = null;
    }
  }

  /**
   * Bytes of a flow that became slow stay in the kernel below the mark; the mark 1 releases them.
   */
  #look(): void {
    if (!this.#readSinceLook) this.#mark(1);
    this.#readSinceLook = false;
  }

  #fail(error: unknown): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#stopLooking?.();
    this.#stopLooking = null;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.reject(error);
  }
}

function closed(): ConnectionBroken {
  return new ConnectionBroken('CLOSED', 'closed the connection');
}

/** Idle connections for reuse: a bounded number per peer, each for a bounded time. */
export class IdleConnections {
  readonly #idle = new Map<string, { connection: HttpConnection; sinceMs: number }[]>();
  readonly #nowMs: () => number;
  readonly #perEndMax: number;
  readonly #idleMs: number;

  constructor(nowMs: () => number, perEndMax: number, idleMs: number) {
    this.#nowMs = nowMs;
    this.#perEndMax = perEndMax;
    this.#idleMs = idleMs;
  }

  /** The most recently used connection to `end`. The peer may have closed it unnoticed. */
  take(end: string): HttpConnection | null {
    const idle = this.#idle.get(end);
    while (idle !== undefined && idle.length > 0) {
      const { connection, sinceMs } = idle.pop()!;
      if (connection.dead) continue;
      if (this.#nowMs() - sinceMs < this.#idleMs) return connection;
      connection.destroy(new Error(`closed after ${this.#idleMs} ms without a request`));
    }
    this.#idle.delete(end);
    return null;
  }

  give(end: string, connection: HttpConnection): void {
    if (connection.dead) return;
    let idle = this.#idle.get(end);
    if (idle === undefined) this.#idle.set(end, (idle = []));
    idle.push({ connection, sinceMs: this.#nowMs() });
    if (idle.length > this.#perEndMax)
      idle.shift()!.connection.destroy(new Error('more idle connections than are kept'));
  }

  close(): void {
    for (const { connection } of [...this.#idle.values()].flat())
      connection.destroy(new Error('closed'));
    this.#idle.clear();
  }
}
