import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseRange, resolveRange } from '../lib/registry/range.ts';
import { Pattern } from './pread/pattern.ts';

const CHUNK_BYTES = 1024 * 1024;

/**
 * An origin for measurements. Every path is the same object of `totalBytes` generated from `seed`.
 * It counts the bytes it sends.
 */
export class BenchOrigin {
  readonly #server: Server;
  readonly #pattern: Pattern;
  readonly #totalBytes: number;
  bytesSent = 0;
  requests = 0;

  constructor(seed: number, totalBytes: number) {
    this.#pattern = new Pattern(seed);
    this.#totalBytes = totalBytes;
    this.#server = createServer((request, response) => {
      const span = resolveRange(parseRange(request.headers.range), totalBytes);
      const headers = {
        'Content-Type': 'application/octet-stream',
        'Content-Length': span.endBytes - span.startBytes,
        'Accept-Ranges': 'bytes',
      };
      this.requests += 1;
      response.writeHead(
        span.status,
        span.contentRange === undefined
          ? headers
          : { ...headers, 'Content-Range': span.contentRange },
      );
      if (request.method === 'HEAD') response.end();
      else sendPattern(response, this.#pattern, span, (bytes) => (this.bytesSent += bytes));
    });
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Listens on a free port of loopback; returns its URL. */
  listen(): Promise<string> {
    return new Promise((resolve) =>
      this.#server.listen(0, '127.0.0.1', () =>
        resolve(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`),
      ),
    );
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/**
 * Writes the pattern's bytes [startBytes, endBytes) as the rest of a response, at the pace of its
 * socket.
 */
export function sendPattern(
  response: ServerResponse,
  pattern: Pattern,
  span: { startBytes: number; endBytes: number },
  sent: (bytes: number) => void,
): void {
  let atBytes = span.startBytes;
  const more = (): void => {
    while (atBytes < span.endBytes && !response.destroyed) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, span.endBytes - atBytes));
      pattern.fill(chunk, atBytes);
      atBytes += chunk.length;
      sent(chunk.length);
      if (!response.write(chunk)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}
