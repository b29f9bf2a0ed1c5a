import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import {
  ADMISSION_BODY_BYTES_MAX,
  ADMISSION_DEADLINE_MS,
  ADMISSION_IDLE_MS,
  ADMISSION_REVIEWS_MAX,
} from './limits.ts';
import { reviewAnswer, type WebhookEntry } from './admission.ts';
import type { KeyedCertificate } from '../tls/authority.ts';

/** Path of each webhook entry. */
const REVIEW_PATHS: Readonly<Record<string, WebhookEntry>> = {
  '/mutate/pod': 'pod',
  '/mutate/namespace': 'namespace',
};

interface WebhookServerOptions {
  /** Empty: every address of the machine. */
  host: string;
  port: number;
  answer: (body: unknown, entry: WebhookEntry) => Promise<object>;
  /** Null when ready, else the reason. */
  notReady: () => string | null;
  /** The metrics in Prometheus text format. */
  metrics?: () => Promise<string>;
}

/**
 * The webhook's HTTPS server: reviews, /healthz, /readyz. It starts to listen with the first
 * certificate and uses later ones for new connections.
 */
export class WebhookServer {
  readonly #options: WebhookServerOptions;
  #server: Server | null = null;
  #requests = 0;
  #reviews = 0;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
  }

  /**
   * Uses a certificate from now on. Resolves once the port is open; rejects when it cannot be
   * opened.
   */
  async use({ certificate, key }: KeyedCertificate): Promise<void> {
    if (this.#server !== null) return this.#server.setSecureContext({ cert: certificate, key });
    const { host, port } = this.#options;
    const server = createServer(
      { cert: certificate, key, minVersion: 'TLSv1.2' },
      (request, response) => void this.#serve(request, response),
    );
    // A slow client may take no longer to send its body than a review may take.
    server.requestTimeout = ADMISSION_DEADLINE_MS;
    // The API server must close idle connections first. If this side closes one, a review in flight
    // is lost, and Go does not retry a POST.
    server.keepAliveTimeout = ADMISSION_IDLE_MS;
    this.#server = server;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject).listen(port, host === '' ? undefined : host, resolve);
    await promise;
  }

  /** The listening port; null before the first certificate. */
  get port(): number | null {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port ?? null;
  }

  /** Finishes the answers in progress, then closes. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    this.#closeWhenIdle();
    await promise;
  }

  /**
   * Node does not count a connection as idle before its first request; API servers keep such
   * connections for 90 s.
   */
  #closeWhenIdle(): void {
    if (this.#requests === 0 && this.#server?.listening === false)
      this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#requests++;
    response.once('close', () => {
      this.#requests--;
      this.#closeWhenIdle();
    });
    try {
      const path = (request.url ?? '').split('?')[0]!;
      const entry = REVIEW_PATHS[path];
      if (entry !== undefined && request.method === 'POST')
        return send(response, 200, await this.#review(request, entry));
      if (path === '/healthz') return send(response, 200, { status: 'ok' });
      if (path === '/metrics' && this.#options.metrics !== undefined)
        return sendText(response, await this.#options.metrics(), METRICS_TYPE);
      const reason = path === '/readyz' ? this.#options.notReady() : undefined;
      if (reason !== undefined)
        return send(
          response,
          reason === null ? 200 : 503,
          reason === null ? { status: 'ready' } : { status: 'not ready', reason },
        );
      send(response, 404, { status: 'not found' });
    } catch {
      // The connection broke or the body was too long; there is no way to answer.
      response.destroy();
    }
  }

  async #review(request: IncomingMessage, entry: WebhookEntry): Promise<object> {
    const text = await bodyText(request);
    // Over the limit, reviews would be late anyway: admit the pod unchanged without doing the work.
    if (this.#reviews >= ADMISSION_REVIEWS_MAX)
      return reviewAnswer(
        String((parsed(text) as { request?: { uid?: string } } | null)?.request?.uid ?? ''),
        null,
      );
    this.#reviews++;
    try {
      return await this.#options.answer(parsed(text), entry);
    } finally {
      this.#reviews--;
    }
  }
}

async function bodyText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ADMISSION_BODY_BYTES_MAX) throw new Error('body too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function send(response: ServerResponse, status: number, body: object): void {
  sendText(response, JSON.stringify(body), 'application/json', status);
}

function sendText(response: ServerResponse, text: string, type: string, status = 200): void {
  response
    .writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) })
    .end(text);
}
