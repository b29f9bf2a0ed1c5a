import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseRange, resolveRange } from '../../lib/registry/range.ts';
import { sendPattern } from '../origin.ts';
import { Pattern } from '../pread/pattern.ts';

const KEY = 'the owner of the bucket';
const HASH_STEP_BYTES = 4 * 1024 * 1024;

interface ObjectStoreOptions {
  seed: number;
  totalBytes: number;
  /** Wall time in ms, which signatures end by. */
  wallMs?: () => number;
}

/**
 * An object store that behaves as OSS does: URLs are signed for GET, for one object, and expire
 * (403 with an XML error); HEAD on them is refused; a range within the object gets 206, one that
 * runs past its end 200 and the whole object. Its one blob lies under its digest, as docker
 * distribution stores it.
 */
export class ObjectStore {
  readonly #server: Server;
  readonly #pattern: Pattern;
  readonly #options: ObjectStoreOptions;
  readonly #wallMs: () => number;
  readonly digest: string;
  bytesSent = 0;
  /** Ranges (as asked for, null for none) and statuses, in order. */
  readonly requests: { range: string | null; status: number }[] = [];

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
    this.#wallMs = options.wallMs ?? Date.now;
    this.#pattern = new Pattern(options.seed);
    this.digest = digestOf(this.#pattern, options.totalBytes);
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) =>
      this.#answer(request, response),
    );
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve()));
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A URL of the blob signed for `user` until `expiresMs` from now, rounded up to a second. */
  sign(user: string, expiresMs: number): string {
    const hex = this.digest.slice('sha256:'.length);
    const path = `/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
    const expires = Math.ceil((this.#wallMs() + expiresMs) / 1000);
    const signed = encodeURIComponent(signature(path, user, expires));
    const query = `OSSAccessKeyId=${user}&Expires=${expires}&Signature=${signed}`;
    return `http://${this.host}${path}?${query}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url!, 'http://store');
    const { range } = request.headers;
    const said = (status: number): void =>
      void this.requests.push({ range: range ?? null, status });
    const [user, expires] = [
      searchParams.get('OSSAccessKeyId') ?? '',
      Number(searchParams.get('Expires')),
    ];
    const isSigned =
      request.method === 'GET' &&
      searchParams.get('Signature') === signature(pathname, user, expires);
    if (!isSigned || this.#wallMs() >= expires * 1000) {
      said(403);
      const code = isSigned
        ? '<Code>AccessDenied</Code><Message>Request has expired.</Message>'
        : '<Code>SignatureDoesNotMatch</Code>';
      response
        .writeHead(403, { 'Content-Type': 'application/xml' })
        .end(`<?xml version="1.0" encoding="UTF-8"?><Error>${code}</Error>`);
      return;
    }
    const { totalBytes } = this.#options;
    const [, start, end] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
    const isPastEnd =
      start !== undefined &&
      (Number(start) >= totalBytes || (end !== '' && Number(end) >= totalBytes));
    const span = resolveRange(isPastEnd ? { kind: 'whole' } : parseRange(range ?? ''), totalBytes);
    said(span.status);
    const headers = {
      'Content-Type': 'application/octet-stream',
      'Content-Length': span.endBytes - span.startBytes,
      'Accept-Ranges': 'bytes',
      ETag: '"5B3C1A2E053D763E1B002CC607C5A0FE"',
    };
    response.writeHead(
      span.status,
      span.contentRange === undefined
        ? headers
        : { ...headers, 'Content-Range': span.contentRange },
    );
    sendPattern(response, this.#pattern, span, (bytes) => (this.bytesSent += bytes));
  }
}

function signature(path: string, user: string, expires: number): string {
  return createHmac('sha1', KEY).update(`GET\n\n\n${expires}\n${path}?${user}`).digest('base64');
}

function digestOf(pattern: Pattern, totalBytes: number): string {
  const hash = createHash('sha256');
  const step = Buffer.allocUnsafe(Math.min(totalBytes, HASH_STEP_BYTES));
  for (let at = 0; at < totalBytes; at += step.length) {
    const part = step.subarray(0, Math.min(step.length, totalBytes - at));
    pattern.fill(part, at);
    hash.update(part);
  }
  return `sha256:${hash.digest('hex')}`;
}
