import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';

/** Who may read the private repository. */
export const OWNER = 'Bearer a-token-of-the-owner-that-is-long-enough';
export const PRIVATE = 'team/private';
const SIGNED = 'Signature=good';
/** How long a silent registry says nothing. */
const SILENT_MS = 4_000;
const PIECE_BYTES = 256 * 1024;

/** What goes wrong with the registry for a while. */
export type Trouble = 'none' | 'errors' | 'silent' | 'cuts' | 'slow';

/** A registry, the object storage that it redirects to, and a stranger's host. */
export class BesiegedRegistry {
  readonly blobs = new Map<string, Buffer>();
  trouble: Trouble = 'none';
  sentBytes = 0;
  host = '';
  storageHost = '';
  strangerHost = '';
  readonly #servers: Server[] = [];

  constructor(sizes: readonly number[]) {
    for (const size of sizes) {
      const bytes = randomBytes(size);
      this.blobs.set(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes);
    }
  }

  async listen(): Promise<void> {
    this.host = await this.#serve('127.0.0.1', (request, response) =>
      this.#registry(request, response),
    );
    this.storageHost = await this.#serve('127.0.0.3', (request, response) =>
      this.#storage(request, response),
    );
    this.strangerHost = await this.#serve('127.0.0.2', (request, response) =>
      this.#stranger(request, response),
    );
  }

  close(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  storagePath(digest: string): string {
    const hex = digest.slice('sha256:'.length);
    return `/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
  }

  async #serve(
    address: string,
    answer: (request: IncomingMessage, response: ServerResponse) => unknown,
  ): Promise<string> {
    const server = createServer((request, response) => void answer(request, response));
    server.listen(0, address);
    await once(server, 'listening');
    this.#servers.push(server);
    return `${address}:${(server.address() as AddressInfo).port}`;
  }

  async #registry(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.trouble === 'silent') await after(SILENT_MS, undefined, { ref: false });
    if (this.trouble === 'errors') return void response.writeHead(503).end();
    const [, repository, digest = ''] = /^\/v2\/(.+)\/blobs\/([^?]+)/.exec(request.url!) ?? [];
    if (repository === undefined) return void response.writeHead(200).end('{}');
    if (repository === PRIVATE && request.headers.authorization !== OWNER)
      return void response
        .writeHead(401, { 'www-authenticate': 'Bearer realm="https://registry.test/token"' })
        .end();
    const blob = this.blobs.get(digest);
    if (blob === undefined || repository !== PRIVATE) return void response.writeHead(404).end();
    // Every second blob is in object storage.
    if (Number.parseInt(digest.at(-1)!, 16) % 2 === 0) {
      const location = `http://${this.storageHost}${this.storagePath(digest)}?${SIGNED}`;
      return void response.writeHead(307, { location }).end();
    }
    await this.#send(request, response, blob);
  }

  async #storage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hex = /([0-9a-f]{64})\/data/.exec(request.url!)?.[1];
    const blob = this.blobs.get(`sha256:${hex}`);
    if (blob === undefined || !request.url!.endsWith(SIGNED))
      return void response.writeHead(403).end('<Code>AccessDenied</Code>');
    await this.#send(request, response, blob);
  }

  /** Says yes to everything: zeros, as long as the true blob, or a byte now and then. */
  async #stranger(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hex = /([0-9a-f]{64})/.exec(request.url!)?.[1];
    const size = this.blobs.get(`sha256:${hex}`)?.length ?? 9;
    if (!request.url!.includes('drip')) return this.#send(request, response, Buffer.alloc(size));
    response.writeHead(200, { 'content-length': size });
    for (let sent = 0; sent < size && !response.destroyed; sent++) {
      response.write('x');
      await after(1_000, undefined, { ref: false });
    }
  }

  async #send(request: IncomingMessage, response: ServerResponse, bytes: Buffer): Promise<void> {
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const startBytes = Number(from ?? 0);
    const endBytes = to ? Math.min(Number(to) + 1, bytes.length) : bytes.length;
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': endBytes - startBytes,
      ...(from === undefined
        ? {}
        : { 'content-range': `bytes ${startBytes}-${endBytes - 1}/${bytes.length}` }),
    });
    if (request.method === 'HEAD') return void response.end();
    for (let at = startBytes; at < endBytes && !response.destroyed; at += PIECE_BYTES) {
      if (this.trouble === 'cuts' && Math.random() < 0.1) return void response.destroy();
      if (this.trouble === 'slow') await after(100, undefined, { ref: false });
      const piece = bytes.subarray(at, Math.min(endBytes, at + PIECE_BYTES));
      this.sentBytes += piece.length;
      await new Promise<void>((resolve) => response.write(piece, () => resolve()));
    }
    response.end();
  }
}
