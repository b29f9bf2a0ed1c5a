import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { parseRange, resolveRange } from '../../lib/registry/range.ts';
import type { OriginSink } from '../../lib/origin/range-reader.ts';

/** A request as an origin under test saw it. */
interface SeenRequest {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
}

/** An HTTP server on a free port of loopback, with what it was asked. */
export class OriginServer {
  readonly seen: SeenRequest[] = [];
  connections = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', () => this.connections++);
  }

  static async start(listener: RequestListener): Promise<OriginServer> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    const origin = new OriginServer(server);
    server.on('request', (request, response) => {
      origin.seen.push({
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
      });
      listener(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** Closes idle connections, as a server does that has waited long enough. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, 'close');
  }
}

/** Bytes that differ at every offset a test may mix up. */
export function pattern(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 4 <= lengthBytes; at += 4) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
  return bytes;
}

/** Answers ranges as RFC 9110 says; what lies past the end is cut off. */
export function serveRanges(bytes: Buffer): RequestListener {
  return (request, response) => {
    const span = resolveRange(parseRange(request.headers.range), bytes.length);
    const body = bytes.subarray(span.startBytes, span.endBytes);
    response.writeHead(span.status, {
      'content-length': body.length,
      ...(span.contentRange === undefined ? {} : { 'content-range': span.contentRange }),
    });
    response.end(body);
  };
}

/**
 * Answers ranges as OSS does: one that runs past the end brings 200 and the whole object. HEAD is
 * refused, as on URLs signed for GET.
 */
export function serveAsObjectStore(
  bytes: Buffer,
  expired: (request: IncomingMessage) => boolean = () => false,
): RequestListener {
  const ranges = serveRanges(bytes);
  return (request, response) => {
    if (request.method !== 'GET' || expired(request)) {
      answer(response, 403, '<Error><Code>AccessDenied</Code></Error>', {
        'content-type': 'application/xml',
      });
      return;
    }
    const range = parseRange(request.headers.range);
    if (range.kind === 'from' && (range.endBytes ?? 0) >= bytes.length)
      delete request.headers.range;
    ranges(request, response);
  };
}

export function answer(
  response: ServerResponse,
  status: number,
  body: string | Buffer = '',
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers }).end(body);
}

/** A sink that keeps everything. */
export class RecordingSink implements OriginSink {
  heads: { totalBytes: number; startBytes: number; lengthBytes: number }[] = [];
  chunks: Buffer[] = [];
  stop = false;
  /** How many of the bytes were put in place, not handed over. */
  placedBytes = 0;
  #room = Buffer.alloc(0);

  head(head: { totalBytes: number; startBytes: number; lengthBytes: number }): void {
    this.heads.push(head);
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(Buffer.from(chunk));
  }

  room(bytesMax: number): Uint8Array {
    this.#room = Buffer.alloc(bytesMax);
    return this.#room;
  }

  placed(bytes: number): void {
    this.placedBytes += bytes;
    this.chunks.push(Buffer.from(this.#room.subarray(0, bytes)));
  }

  stopped(): boolean {
    return this.stop;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** The socket under a response, to be cut. */
export function socketOf(response: ServerResponse): Socket {
  return response.socket!;
}
