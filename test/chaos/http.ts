import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { ConnectionBroken } from '../../lib/io/http-connection.ts';
import { statusLine } from '../../lib/front/responses.ts';
import type { Accept, Connection, Served } from './network.ts';

type Handler = (res: HttpResponse, req: HttpRequest) => void;

/** Changes what a node sends: bytes of a head, bytes of a body, or null to say nothing more. */
export interface Tamper {
  /** A whole answer instead of the node's own; null: its own. */
  instead(path: string): Raw | null;
  head(path: string, text: string): string;
  body(path: string, bytes: Uint8Array, offsetBytes: number): Uint8Array | null;
}

/** `silent`: the connection stays open, nothing comes. */
export type Raw = { head: string; body: Uint8Array; dripMs?: number } | 'silent';

/** The part of a uWebSockets.js app that lib/front uses. */
export class SimApp {
  readonly #routes: { method: string; prefix: string; handler: Handler }[] = [];

  get(pattern: string, handler: Handler): this {
    return this.#add('GET', pattern, handler);
  }

  any(pattern: string, handler: Handler): this {
    return this.#add('', pattern, handler);
  }

  #add(method: string, pattern: string, handler: Handler): this {
    this.#routes.push({ method, prefix: pattern.slice(0, -1), handler });
    return this;
  }

  get app(): TemplatedApp {
    return this as unknown as TemplatedApp;
  }

  /** Serves connections; `tamper` changes the answers of a node that lies. */
  accept(tamper: Tamper | null = null, after?: (ms: number, fire: () => void) => void): Accept {
    return (connection) =>
      new Session(connection, (res, req) => this.#handle(res, req), tamper, after);
  }

  #handle(res: SimResponse, req: SimRequest): void {
    const route = this.#routes.find(
      ({ method, prefix }) =>
        (method === '' || method === req.method) && req.getUrl().startsWith(prefix),
    );
    route!.handler(res as unknown as HttpResponse, req as unknown as HttpRequest);
  }
}

/** The requests of one connection. */
class Session implements Served {
  readonly #connection: Connection;
  readonly #handle: (res: SimResponse, req: SimRequest) => void;
  readonly #tamper: Tamper | null;
  readonly #after: ((ms: number, fire: () => void) => void) | undefined;
  #response: SimResponse | null = null;

  constructor(
    connection: Connection,
    handle: (res: SimResponse, req: SimRequest) => void,
    tamper: Tamper | null,
    after: ((ms: number, fire: () => void) => void) | undefined,
  ) {
    this.#connection = connection;
    this.#handle = handle;
    this.#tamper = tamper;
    this.#after = after;
  }

  request(head: string): void {
    const req = new SimRequest(head);
    const instead = this.#tamper?.instead(req.getUrl()) ?? null;
    if (instead === 'silent') return;
    if (instead !== null) {
      this.#raw(instead);
      return;
    }
    this.#response = new SimResponse(this.#connection, req.getUrl(), this.#tamper);
    this.#handle(this.#response, req);
  }

  #raw({ head, body, dripMs }: Exclude<Raw, 'silent'>): void {
    this.#connection.serveBytes(Buffer.from(head, 'latin1'));
    if (dripMs === undefined || this.#after === undefined) {
      if (body.length > 0) this.#connection.serveBytes(body);
      return;
    }
    const drip = (at: number): void => {
      if (at >= body.length || this.#connection.roomBytes === 0) return;
      this.#connection.serveBytes(body.subarray(at, at + 1));
      this.#after!(dripMs, () => drip(at + 1));
    };
    drip(0);
  }

  aborted(): void {
    this.#response?.aborted();
    this.#response = null;
  }

  drained(): void {
    this.#response?.drained();
  }
}

class SimRequest {
  readonly method: string;
  readonly #path: string;
  readonly #query: string | undefined;
  readonly #headers = new Map<string, string>();

  constructor(head: string) {
    const [first = '', ...lines] = head.split('\r\n');
    const [method = '', target = ''] = first.split(' ');
    const at = target.indexOf('?');
    this.method = method;
    this.#path = at < 0 ? target : target.slice(0, at);
    this.#query = at < 0 ? undefined : target.slice(at + 1);
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon > 0)
        this.#headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }

  getUrl(): string {
    return this.#path;
  }

  getQuery(): string | undefined {
    return this.#query;
  }

  getHeader(name: string): string {
    return this.#headers.get(name) ?? '';
  }

  getCaseSensitiveMethod(): string {
    return this.method;
  }

  forEach(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.#headers) visit(name, value);
  }
}

/** One answer, as lib/front writes it to uWebSockets.js. */
class SimResponse {
  readonly #connection: Connection;
  readonly #path: string;
  readonly #tamper: Tamper | null;
  #head = `HTTP/1.1 ${statusLine(200)}\r\n`;
  #hasHead = false;
  #sentBytes = 0;
  #isOver = false;
  #onAborted: () => void = () => undefined;
  #onWritable: ((offset: number) => boolean) | null = null;

  constructor(connection: Connection, path: string, tamper: Tamper | null) {
    this.#connection = connection;
    this.#path = path;
    this.#tamper = tamper;
  }

  onAborted(heard: () => void): this {
    this.#onAborted = heard;
    return this;
  }

  onWritable(heard: (offset: number) => boolean): this {
    this.#onWritable = heard;
    return this;
  }

  cork(write: () => void): this {
    write();
    return this;
  }

  writeStatus(status: string): this {
    this.#head = `HTTP/1.1 ${status}\r\n`;
    return this;
  }

  writeHeader(name: string, value: string): this {
    this.#head += `${name}: ${value}\r\n`;
    return this;
  }

  end(body: string | Uint8Array): this {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.#writeHead(bytes.length);
    if (bytes.length > 0) this.#write(bytes);
    this.#isOver = true;
    return this;
  }

  endWithoutBody(): this {
    this.#writeHead(null);
    this.#isOver = true;
    return this;
  }

  tryEnd(bytes: Uint8Array, totalBytes: number): [boolean, boolean] {
    this.#writeHead(totalBytes);
    const part = bytes.subarray(0, Math.max(0, this.#connection.roomBytes));
    if (part.length > 0) this.#write(part);
    if (this.#sentBytes === totalBytes) this.#isOver = true;
    return [part.length === bytes.length, this.#isOver];
  }

  getWriteOffset(): number {
    return this.#sentBytes;
  }

  close(): this {
    this.#connection.serveClose();
    this.aborted();
    return this;
  }

  aborted(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onAborted();
  }

  drained(): void {
    if (!this.#isOver) this.#onWritable?.(this.#sentBytes);
  }

  #writeHead(lengthBytes: number | null): void {
    if (this.#hasHead) return;
    this.#hasHead = true;
    const length = lengthBytes === null ? '' : `Content-Length: ${lengthBytes}\r\n`;
    const text = `${this.#head}${length}\r\n`;
    this.#connection.serveBytes(
      Buffer.from(this.#tamper?.head(this.#path, text) ?? text, 'latin1'),
    );
  }

  #write(bytes: Uint8Array): void {
    const sent =
      this.#tamper === null ? bytes : this.#tamper.body(this.#path, bytes, this.#sentBytes);
    this.#sentBytes += bytes.length;
    if (sent !== null) this.#connection.serveBytes(sent);
  }
}

export function isBroken(thrown: unknown): boolean {
  return thrown instanceof ConnectionBroken;
}
