import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pattern } from '../origin/origin-server.ts';
import { behaviourOf, type Behaviour } from './behaviour.ts';

export const AUTHORIZATION = 'Bearer good';

/** One blob at the upstream, under a repository that names its behaviour and who pulls it. */
export interface MockBlob {
  path: string;
  bytes: Buffer;
  behaviour: Behaviour;
  sentBytes: number;
  /** Whether the fault has happened. */
  isFaultOver: boolean;
}

/** A registry and the object storage behind it, each blob with a behaviour of its own. */
export class MockUpstream {
  readonly #blobs = new Map<string, MockBlob>();
  readonly #registry: Server;
  readonly #storage: Server;

  private constructor() {
    this.#registry = createServer((request, response) => this.#answer(request, response, true));
    this.#storage = createServer((request, response) => this.#answer(request, response, false));
  }

  static async start(): Promise<MockUpstream> {
    const upstream = new MockUpstream();
    for (const server of [upstream.#registry, upstream.#storage]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    return upstream;
  }

  get url(): string {
    return `http://${hostOf(this.#registry)}`;
  }

  get storageHost(): string {
    return hostOf(this.#storage);
  }

  /** A blob of combination `number`, with bytes of its own for each way it is pulled. */
  add(number: number, way: string): MockBlob {
    const behaviour = behaviourOf(number);
    const bytes = Buffer.from(patternOf(behaviour.sizeBytes));
    bytes.write(`${number} ${way}`.slice(0, bytes.length));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const path = `/v2/${way}/n${number}/blobs/${digest}`;
    const blob = { path, bytes, behaviour, sentBytes: 0, isFaultOver: false };
    this.#blobs.set(path, blob);
    return blob;
  }

  remove(blob: MockBlob): void {
    this.#blobs.delete(blob.path);
  }

  close(): void {
    for (const server of [this.#registry, this.#storage]) {
      server.closeAllConnections();
      server.close();
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, isRegistry: boolean): void {
    const [path = '', hops = ''] = request.url!.split('?');
    const blob = this.#blobs.get(path);
    if (path === '/v2/') return void response.end('{}');
    if (blob === undefined) return void response.writeHead(404).end();
    const { auth, redirect, fault, head } = blob.behaviour;
    if (isRegistry) {
      const isGood = request.headers.authorization === AUTHORIZATION;
      if ((auth === 'accepted' || auth === 'missing') && !isGood)
        return void response.writeHead(401, { 'www-authenticate': 'Bearer realm="r"' }).end('no');
      if (auth === 'denied') return void response.writeHead(403).end('denied');
      if (auth === 'absent') return void response.writeHead(404).end('absent');
      if (redirect === 'relative' && hops === '')
        return void response.writeHead(307, { location: `${path}?hop=1` }).end();
      if (redirect === 'storage' || (redirect === 'twice' && hops === 'hop=1'))
        return void response
          .writeHead(307, { location: `http://${this.storageHost}${path}?sig=a%2Bb` })
          .end();
      if (redirect === 'twice')
        return void response.writeHead(302, { location: `${this.url}${path}?hop=1` }).end();
    }
    if (request.method === 'HEAD' && head !== 'served')
      return void response.writeHead(head === 'bare' ? 200 : head).end();
    if (fault === 'dropped' && !blob.isFaultOver) {
      blob.isFaultOver = true;
      return void request.socket.destroy();
    }
    serve(blob, request, response);
  }
}

function serve(blob: MockBlob, request: IncomingMessage, response: ServerResponse): void {
  const { ranges, length, coding, fault } = blob.behaviour;
  const { bytes } = blob;
  const headers: Record<string, string> = coding === 'none' ? {} : { 'content-encoding': coding };
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const isRanged = first !== undefined && ranges !== 'ignored';
  if (isRanged && typeof ranges === 'number')
    return void response.writeHead(ranges).end('no range');
  const from = isRanged ? Number(first) : 0;
  if (isRanged && from >= bytes.length)
    return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  let end = isRanged && last !== '' ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
  if (isRanged && ranges === 'short') end = Math.min(end, from + 50_000);
  const part = bytes.subarray(from, end);
  if (isRanged && ranges !== 'unnamed')
    headers['content-range'] = `bytes ${from}-${end - 1}/${ranges === 'star' ? '*' : bytes.length}`;
  if (length === 'told') headers['content-length'] = String(part.length);
  response.writeHead(isRanged ? 206 : 200, headers);
  if (request.method === 'HEAD') return void response.end();
  if (fault === 'cut' && !blob.isFaultOver && part.length > 1) {
    blob.isFaultOver = true;
    const half = part.subarray(0, Math.floor(part.length / 2));
    blob.sentBytes += half.length;
    return void response.write(half, () => request.socket.destroy());
  }
  blob.sentBytes += part.length;
  return void response.end(part);
}

const patterns = new Map<number, Buffer>();

/** Made once per size. */
function patternOf(sizeBytes: number): Buffer {
  const bytes = patterns.get(sizeBytes) ?? pattern(sizeBytes);
  patterns.set(sizeBytes, bytes);
  return bytes;
}

function hostOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
