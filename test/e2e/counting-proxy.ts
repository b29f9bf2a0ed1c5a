import { once } from 'node:events';
import {
  createServer,
  request as sendRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

interface Traffic {
  requests: number;
  bytes: number;
  /** The Range headers, in order of arrival; '' for none. */
  ranges: string[];
  /** Answers under way now, and the most there were at once. */
  open: number;
  openMax: number;
}

/**
 * What the proxy does with a request instead of passing it on: a status, or nothing at all, ever.
 */
type Disturbance = (request: IncomingMessage) => number | 'silence' | null;

/**
 * Stands before a registry and counts, by digest, what is fetched from it; and fails when told to.
 */
export class CountingProxy {
  /**
   * Fetches of blobs; a range of one byte is an access check and counted apart (docs/SPEC.md 2.7).
   */
  blobs = new Map<string, Traffic>();
  checks = 0;
  manifests = 0;
  disturb: Disturbance = () => null;
  /** Held back after so many bytes of a blob in all, until released; to catch a pull half-way. */
  #brake: {
    afterBytes: number;
    passedBytes: number;
    reached: () => void;
    released: Promise<void>;
  } | null = null;
  readonly #server: Server;
  readonly #upstreamPort: number;

  private constructor(server: Server, upstreamPort: number) {
    this.#server = server;
    this.#upstreamPort = upstreamPort;
    server.on('request', (request, response) => this.#pass(request, response));
  }

  static async start(upstreamPort: number): Promise<CountingProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new CountingProxy(server, upstreamPort);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get blobBytes(): number {
    return [...this.blobs.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get blobRequests(): number {
    return [...this.blobs.values()].reduce((sum, { requests }) => sum + requests, 0);
  }

  reset(): void {
    this.blobs = new Map();
    this.checks = 0;
    this.manifests = 0;
    this.disturb = () => null;
  }

  /**
   * Holds all blobs back once `afterBytes` have passed. `reached` tells when; `release` lets them
   * go.
   */
  brake(afterBytes: number): { reached: Promise<void>; release: () => void } {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.#brake = {
      afterBytes,
      passedBytes: 0,
      reached: reached.resolve,
      released: released.promise,
    };
    return {
      reached: reached.promise,
      release: () => {
        this.#brake = null;
        released.resolve();
      },
    };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const disturbance = this.disturb(request);
    if (disturbance === 'silence') return;
    if (disturbance !== null) {
      response
        .writeHead(disturbance, { 'content-type': 'application/json' })
        .end(JSON.stringify({ errors: [{ code: 'UNKNOWN', message: 'disturbed' }] }));
      return;
    }
    const counted = this.#count(request);
    // Whether a connection is kept is between two neighbours.
    const { connection: _, ...headers } = request.headers;
    const upstream = sendRequest(
      {
        port: this.#upstreamPort,
        host: '127.0.0.1',
        method: request.method,
        path: request.url,
        headers,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        void this.#copy(answer, response, counted);
      },
    );
    upstream.on('error', () => response.destroy());
    response.on('close', () => {
      upstream.destroy();
      if (counted !== null) counted.open--;
    });
    request.pipe(upstream);
  }

  async #copy(
    answer: IncomingMessage,
    response: ServerResponse,
    counted: Traffic | null,
  ): Promise<void> {
    const closed = once(response, 'close').catch(() => undefined);
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        if (counted !== null) {
          counted.bytes += chunk.length;
          await this.#braked(chunk.length);
        }
        if (!response.write(chunk)) await Promise.race([once(response, 'drain'), closed]);
      }
      response.end();
    } catch {
      response.destroy();
    }
  }

  async #braked(bytes: number): Promise<void> {
    const brake = this.#brake;
    if (brake === null) return;
    brake.passedBytes += bytes;
    if (brake.passedBytes < brake.afterBytes) return;
    brake.reached();
    await brake.released;
  }

  /** Where the bytes of the answer count, or null for what is not a blob. */
  #count(request: IncomingMessage): Traffic | null {
    if (request.url?.includes('/manifests/') === true) this.manifests++;
    const digest = /\/blobs\/(sha256:[0-9a-f]{64})/.exec(request.url ?? '')?.[1];
    if (digest === undefined || request.method !== 'GET') return null;
    if (request.headers.range === 'bytes=0-0') {
      this.checks++;
      return null;
    }
    const traffic = this.blobs.get(digest) ?? {
      requests: 0,
      bytes: 0,
      ranges: [],
      open: 0,
      openMax: 0,
    };
    traffic.requests++;
    traffic.ranges.push(request.headers.range ?? '');
    traffic.openMax = Math.max(traffic.openMax, ++traffic.open);
    this.blobs.set(digest, traffic);
    return traffic;
  }
}
