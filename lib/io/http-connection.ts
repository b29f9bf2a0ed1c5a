import { connect, type Socket } from 'node:net';
import { ShoalError } from '../errors.ts';
import { PEER_CONNECT_TIMEOUT_MS, PEER_HEAD_BYTES_MAX, PEER_IDLE_SOCKETS_MAX, PEER_IDLE_SOCKET_MS } from '../limits.ts';
import { parseHead, type ResponseHead } from './response-head.ts';

/** Where a response's body goes. */
export interface BodySink {
  /** Called with the head; says where body bytes go, or null to collect a small body in memory. */
  head(head: ResponseHead): 'place' | 'collect';
  /** The free room for body bytes [from, length), to be read into directly. */
  room(fromBytes: number, lengthBytes: number): Uint8Array;
  /** `receivedBytes` of the body are in place. */
  placed(receivedBytes: number): void;
}

export interface PeerResponse {
  head: ResponseHead;
  /** The collected body; empty when it was placed. */
  body: Buffer;
}

interface Exchange {
  sink: BodySink;
  resolve(response: PeerResponse): void;
  reject(error: ShoalError): void;
}

/**
 * One HTTP/1.1 connection to another node, one exchange at a time. The kernel writes body bytes
 * straight where the sink wants them (`onread` with a buffer chosen before every read); only what
 * arrives in the same read as the head is copied.
 *
 *   connecting -> idle <-> (head -> body) ; any error or a close -> dead
 */
export class PeerConnection {
  readonly #socket: Socket;
  readonly #headBuffer = Buffer.alloc(PEER_HEAD_BYTES_MAX);
  #headBytes = 0;
  #exchange: Exchange | null = null;
  #head: ResponseHead | null = null;
  #place = false;
  #bodyBytes = 0;
  #collected: Buffer = Buffer.alloc(0);
  #dead = false;

  constructor(host: string, port: number) {
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer: () => this.#target(), callback: (bytes) => this.#read(bytes) },
    });
    this.#socket.setTimeout(PEER_CONNECT_TIMEOUT_MS, () => this.#fail(new ShoalError('PEER_UNREACHABLE', `no connection to ${host}:${port} within ${PEER_CONNECT_TIMEOUT_MS} ms`)));
    this.#socket.once('connect', () => this.#socket.setTimeout(0));
    this.#socket.on('error', (error) => this.#fail(new ShoalError('PEER_UNREACHABLE', `${host}:${port}: ${error.message}`)));
    this.#socket.on('end', () => this.#fail(new ShoalError('PEER_BROKEN', `${host}:${port} closed the connection`)));
    this.#socket.on('close', () => this.#fail(new ShoalError('PEER_BROKEN', `${host}:${port} closed the connection`)));
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Sends a bodiless request and resolves when its response is whole. Rejects with PEER_*. */
  exchange(requestHead: string, sink: BodySink): Promise<PeerResponse> {
    return new Promise((resolve, reject) => {
      this.#exchange = { sink, resolve, reject };
      this.#head = null;
      this.#headBytes = 0;
      this.#bodyBytes = 0;
      this.#socket.write(requestHead, 'latin1');
    });
  }

  destroy(error: ShoalError): void {
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
      this.#fail(new ShoalError('PEER_BROKEN', 'bytes nobody asked for'));
      return false;
    }
    if (this.#head === null) this.#readHead(bytes);
    else this.#took(bytes);
    return !this.#dead;
  }

  #readHead(bytes: number): void {
    this.#headBytes += bytes;
    const parsed = parseHead(this.#headBuffer.subarray(0, this.#headBytes));
    if (parsed === 'more') {
      if (this.#headBytes === this.#headBuffer.length) this.#fail(new ShoalError('PEER_BROKEN', 'a response head without end'));
      return;
    }
    if (parsed === 'bad') {
      this.#fail(new ShoalError('PEER_BROKEN', 'a response head that is none'));
      return;
    }
    const exchange = this.#exchange!;
    this.#head = parsed;
    this.#place = exchange.sink.head(parsed) === 'place';
    if (!this.#place) {
      if (parsed.contentLength > PEER_HEAD_BYTES_MAX) {
        this.#fail(new ShoalError('PEER_BROKEN', `a message of ${parsed.contentLength} bytes; at most ${PEER_HEAD_BYTES_MAX} are allowed`));
        return;
      }
      this.#collected = Buffer.alloc(parsed.contentLength);
    }
    const early = this.#headBuffer.subarray(parsed.headBytes, this.#headBytes);
    if (early.length > parsed.contentLength) {
      this.#fail(new ShoalError('PEER_BROKEN', 'more body than announced'));
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
    if (this.#dead || this.#bodyBytes < head.contentLength) return;
    this.#exchange = null;
    this.#head = null;
    this.#headBytes = 0;
    if (head.close) this.#fail(new ShoalError('PEER_BROKEN', 'closed by the peer'));
    exchange.resolve({ head, body: this.#place ? Buffer.alloc(0) : this.#collected });
  }

  #fail(error: ShoalError): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.reject(error);
  }
}

/** Idle connections kept for reuse, a bounded number per node, each for a bounded time. */
export class PeerConnections {
  readonly #idle = new Map<string, { connection: PeerConnection; sinceMs: number }[]>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A connection to the node, and whether it was used before (and may have gone stale unnoticed). */
  take(host: string, port: number): { connection: PeerConnection; reused: boolean } {
    const idle = this.#idle.get(`${host}:${port}`);
    while (idle !== undefined && idle.length > 0) {
      const { connection, sinceMs } = idle.pop()!;
      if (connection.dead) continue;
      if (this.#nowMs() - sinceMs < PEER_IDLE_SOCKET_MS) return { connection, reused: true };
      connection.destroy(new ShoalError('CANCELLED', 'idle for too long'));
    }
    return { connection: new PeerConnection(host, port), reused: false };
  }

  give(host: string, port: number, connection: PeerConnection): void {
    if (connection.dead) return;
    const name = `${host}:${port}`;
    let idle = this.#idle.get(name);
    if (idle === undefined) this.#idle.set(name, (idle = []));
    idle.push({ connection, sinceMs: this.#nowMs() });
    if (idle.length > PEER_IDLE_SOCKETS_MAX) idle.shift()!.connection.destroy(new ShoalError('CANCELLED', 'more idle connections than are kept'));
  }
}
