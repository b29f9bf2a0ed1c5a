import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** Bytes of one request of a relay to the machine before it. */
const PIECE_BYTES = 2 * 1024 * 1024;
const CONNECTIONS = 8;
const READ_BYTES = 256 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');

export interface RelayedBlob {
  path: string;
  sizeBytes: number;
}

/** A blob in memory and how much of each piece has arrived. */
interface Kept {
  path: string;
  bytes: Buffer;
  receivedBytes: number[];
  readers: Set<() => void>;
}

export interface RelaySource {
  host: string;
  port: number;
  authorization: string;
}

/**
 * The least a node of a chain has to do: it receives blobs over 8 connections, keeps them in
 * memory, and serves what has arrived to the next node and to clients. One thread, no checks, no
 * disk. Its processor time is the unit that the lab measures Shoal in.
 */
export class Relay {
  readonly #kept: Kept[];
  readonly #source: RelaySource;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #started = false;

  private constructor(blobs: readonly RelayedBlob[], source: RelaySource) {
    this.#source = source;
    this.#kept = blobs.map(({ path, sizeBytes }) => ({
      path,
      bytes: Buffer.alloc(sizeBytes),
      receivedBytes: Array<number>(Math.ceil(sizeBytes / PIECE_BYTES)).fill(0),
      readers: new Set(),
    }));
    this.#server = createServer((socket) => this.#serve(this.#own(socket)));
  }

  /** Listens on `port` of all addresses. The blobs are fetched with the first request. */
  static async start(
    blobs: readonly RelayedBlob[],
    source: RelaySource,
    port: number,
  ): Promise<Relay> {
    const relay = new Relay(blobs, source);
    relay.#server.listen(port);
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #own(socket: Socket): Socket {
    this.#sockets.add(socket);
    // A broken connection shows as an incomplete body at the client.
    socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket));
    return socket.setNoDelay(true);
  }

  #serve(socket: Socket): void {
    let text = '';
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      const path = /^GET ([^ ?]+)/.exec(text)?.[1];
      const range = /^range: bytes=(\d+)-(\d+)/im.exec(text);
      text = '';
      const kept = this.#kept.find((candidate) => candidate.path === path);
      if (kept === undefined) return void socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
      if (!this.#started) this.#fetchAll();
      const size = kept.bytes.length;
      const [from, to] = range === null ? [0, size] : [Number(range[1]), Number(range[2]) + 1];
      const status = range === null ? '200 OK' : '206 Partial Content';
      socket.write(`HTTP/1.1 ${status}\r\ncontent-length: ${to - from}\r\n\r\n`);
      this.#send(socket, kept, from, to);
    });
  }

  /** Writes [from, to) as it arrives, at the pace of the socket. */
  #send(socket: Socket, kept: Kept, from: number, to: number): void {
    let at = from;
    const more = (): void => {
      while (at < to && !socket.destroyed) {
        const piece = Math.floor(at / PIECE_BYTES);
        const arrived = piece * PIECE_BYTES + kept.receivedBytes[piece]!;
        if (arrived <= at || socket.writableNeedDrain) return;
        const end = Math.min(arrived, to);
        socket.write(kept.bytes.subarray(at, end));
        at = end;
      }
      kept.readers.delete(more);
      socket.off('drain', more);
    };
    kept.readers.add(more);
    socket.on('drain', more);
    more();
  }

  #fetchAll(): void {
    this.#started = true;
    const pieces = this.#kept.flatMap((kept) =>
      kept.receivedBytes.map((_, piece) => ({ kept, piece })),
    );
    const next = (): { kept: Kept; piece: number } | undefined => pieces.shift();
    for (let count = 0; count < CONNECTIONS; count++) this.#fetch(next);
  }

  /** Fetches pieces over one connection until none is left. Reads go straight into the blob. */
  #fetch(next: () => { kept: Kept; piece: number } | undefined): void {
    let job = next();
    if (job === undefined) return;
    const scratch = Buffer.alloc(READ_BYTES);
    let head = Buffer.alloc(0);
    let inBody = false;
    let lengthBytes = 0;
    const target = (): Buffer => {
      const { kept, piece } = job!;
      const at = piece * PIECE_BYTES + kept.receivedBytes[piece]!;
      return kept.bytes.subarray(at, piece * PIECE_BYTES + lengthBytes);
    };
    const ask = (): void => {
      const { kept, piece } = job!;
      const from = piece * PIECE_BYTES;
      lengthBytes = Math.min(PIECE_BYTES, kept.bytes.length - from);
      const { host, authorization } = this.#source;
      socket.write(
        `GET ${kept.path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: ${authorization}\r\n` +
          `range: bytes=${from}-${from + lengthBytes - 1}\r\n\r\n`,
      );
    };
    const received = (bytes: number): void => {
      const { kept, piece } = job!;
      kept.receivedBytes[piece]! += bytes;
      for (const reader of kept.readers) reader();
      if (kept.receivedBytes[piece]! < lengthBytes) return;
      inBody = false;
      head = Buffer.alloc(0);
      job = next();
      if (job === undefined) socket.end();
      else ask();
    };
    const socket = this.#own(
      connect({
        host: this.#source.host,
        port: this.#source.port,
        onread: {
          buffer: () => (inBody ? target() : scratch),
          callback: (count) => {
            if (inBody) received(count);
            else {
              head = Buffer.concat([head, scratch.subarray(0, count)]);
              const end = head.indexOf(HEAD_END);
              if (end < 0) return true;
              if (!head.toString('latin1', 0, 12).endsWith(' 206'))
                throw new Error(`relay: the source answered ${head.toString('latin1', 0, end)}`);
              inBody = true;
              const body = head.subarray(end + HEAD_END.length);
              body.copy(target());
              if (body.length > 0) received(body.length);
            }
            return true;
          },
        },
      }),
    );
    socket.once('connect', ask);
  }
}
