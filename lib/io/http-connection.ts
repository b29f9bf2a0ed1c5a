import type { OnReadOpts, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { CONNECTION_HEAD_BYTES_MAX } from '../limits.ts';
import { Gathering } from './gathering.ts';
import { TLS_RECORD_BYTES_MAX } from './limits.ts';
import { threadLooks } from './looks.ts';
import { lowWater, type SetLowWater } from './low-water.ts';
import { parseHead, type ResponseHead } from './response-head.ts';

/** Where a response's body goes. */
export interface BodySink {
  /**
   * Called with the head; whether the body is to be put into `room`, or collected in memory, being
   * small. May throw, which ends the connection.
   */
  head(head: ResponseHead): 'place' | 'collect';
  /** The free room for body bytes [from, length), to be read into directly. */
  room(fromBytes: number, lengthBytes: number): Uint8Array;
  /** `receivedBytes` of the body are in place. May throw, which ends the connection. */
  placed(receivedBytes: number): void;
}

export interface HttpResponse {
  head: ResponseHead;
  /** The collected body; empty when it was placed. */
  body: Buffer;
}

/**
 * What ended a connection: the socket failed (SOCKET, with what it said as cause), the other end
 * closed it (CLOSED), sent what is no answer of the kind taken here (HEAD), or bytes nobody asked
 * for (BODY).
 */
export class ConnectionBroken extends Error {
  readonly code: 'SOCKET' | 'CLOSED' | 'HEAD' | 'BODY';

  constructor(code: ConnectionBroken['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

interface Exchange {
  sink: BodySink;
  resolve(response: HttpResponse): void;
  reject(error: unknown): void;
}

/**
 * One HTTP/1.1 connection, one exchange at a time. The kernel (or TLS) writes body bytes straight
 * where the sink wants them (`onread` with a buffer chosen before every read); only what arrives in
 * the same read as the head is copied. It takes only answers with a length: a truncated body must
 * not look like a whole one.
 *
 *   connecting -> idle <-> (head -> body) ; any error or a close -> dead
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
  readonly #setLowWater: SetLowWater | null;
  readonly #gathering = new Gathering();
  /** The socket's low-water mark, and the thread's look at whether it is still reached. */
  #lowWaterBytes = 1;
  #stopLooking: (() => void) | null = null;
  #readSinceLook = false;

  /** `open` makes the socket, with the `onread` it is handed. */
  constructor(
    open: (onread: OnReadOpts) => Socket,
    setLowWater: SetLowWater | null = lowWater().set,
  ) {
    this.#setLowWater = setLowWater;
    this.#socket = open({ buffer: () => this.#target(), callback: (bytes) => this.#read(bytes) });
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
   * Sends a bodiless request and resolves when its response is whole. Rejects with
   * ConnectionBroken, or what the sink threw.
   */
  exchange(requestHead: string, sink: BodySink): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      this.#exchange = { sink, resolve, reject };
      this.#head = null;
      this.#headBytes = 0;
      this.#bodyBytes = 0;
      this.#socket.write(requestHead, 'latin1');
    });
  }

  /**
   * Ends it; an exchange under way is rejected with `error`. Nothing is read any more from here on.
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
      this.#fail(new ConnectionBroken('BODY', 'sent bytes nobody asked for'));
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
        this.#fail(new ConnectionBroken('HEAD', 'sent a response head without end'));
      return;
    }
    if (parsed === 'bad') {
      this.#fail(new ConnectionBroken('HEAD', 'sent a response head that is none'));
      return;
    }
    const exchange = this.#exchange!;
    this.#head = parsed;
    this.#gathering.begin(performance.now());
    this.#place = exchange.sink.head(parsed) === 'place';
    if (this.#dead) return;
    if (!this.#place) {
      if (parsed.contentLength > CONNECTION_HEAD_BYTES_MAX) {
        this.#fail(
          new ConnectionBroken(
            'HEAD',
            `sent a message of ${parsed.contentLength} bytes; at most ${CONNECTION_HEAD_BYTES_MAX} are allowed`,
          ),
        );
        return;
      }
      this.#collected = Buffer.alloc(parsed.contentLength);
    }
    const early = this.#headBuffer.subarray(parsed.headBytes, this.#headBytes);
    if (early.length > parsed.contentLength) {
      this.#fail(new ConnectionBroken('BODY', 'sent more body than announced'));
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
    if (this.#setLowWater === null) return;
    this.#readSinceLook = true;
    // Of a TLS record that has come in part, the plaintext to come is more than the bytes to come.
    const reserveBytes = this.#socket instanceof TLSSocket ? TLS_RECORD_BYTES_MAX : 0;
    this.#mark(this.#gathering.next(bytes, leftBytes - reserveBytes, performance.now()));
  }

  #mark(bytes: number): void {
    if (bytes === this.#lowWaterBytes) return;
    if (!this.#setLowWater!(this.#socket, bytes)) return;
    this.#lowWaterBytes = bytes;
    if (bytes > 1) this.#stopLooking ??= threadLooks.add(() => this.#look());
    else {
      this.#stopLooking?.();
      this.#stopLooking = null;
    }
  }

  /** A flow that became slow leaves bytes in the kernel below the mark: they are let through. */
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

/** Connections between exchanges: a bounded number to each end, each for a bounded time. */
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

  /** The connection to `end` that was used last; it may have gone stale unnoticed. */
  take(end: string): HttpConnection | null {
    const idle = this.#idle.get(end);
    while (idle !== undefined && idle.length > 0) {
      const { connection, sinceMs } = idle.pop()!;
      if (connection.dead) continue;
      if (this.#nowMs() - sinceMs < this.#idleMs) return connection;
      connection.destroy(new Error('idle for too long'));
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
