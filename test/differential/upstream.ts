import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { pattern } from '../origin/origin-server.ts';
import { behaviourOf, LIMITED_BYTES, type Behaviour } from './behaviour.ts';

export const AUTHORIZATION = 'Bearer good';

/** Servers compress what is small, such as the configs of images. */
const COMPRESSED_BYTES_MAX = 100_000;

/** Longer than the number of a combination and how it is pulled. */
const NAME_BYTES = 32;

/** One blob at the upstream, under a repository that names its behaviour and who pulls it. */
export interface MockBlob {
  path: string;
  /** An image manifest that names it. */
  manifestPath: string;
  bytes: Buffer;
  behaviour: Behaviour;
  sentBytes: number;
  /** Whether the fault has happened. */
  isFaultOver: boolean;
  /** Whether a body of it is being sent. */
  isBusy: boolean;
  /** Signed URLs that the storage still takes. */
  signatures: Set<string>;
}

/** A registry and the object storage behind it, each blob with a behaviour of its own. */
export class MockUpstream {
  readonly #blobs = new Map<string, MockBlob>();
  readonly #registry: Server;
  readonly #storage: Server;
  #signatures = 0;

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
    const { bytes, digest } = contentOf(behaviour.sizeBytes, `${number} ${way}`);
    const repository = `/v2/${way}/n${number}`;
    const path = `${repository}/blobs/${digest}`;
    const blob = {
      path,
      manifestPath: `${repository}/manifests/${digest}`,
      bytes,
      behaviour,
      sentBytes: 0,
      isFaultOver: false,
      isBusy: false,
      signatures: new Set<string>(),
    };
    this.#blobs.set(path, blob);
    this.#blobs.set(blob.manifestPath, blob);
    return blob;
  }

  remove(blob: MockBlob): void {
    this.#blobs.delete(blob.path);
    this.#blobs.delete(blob.manifestPath);
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
      if (path === blob.manifestPath) return sendManifest(blob, response);
      if (redirect === 'relative' && hops === '')
        return void response.writeHead(307, { location: `${path}?hop=1` }).end();
      if (redirect === 'storage' || (redirect === 'twice' && hops === 'hop=1'))
        return this.#toStorage(response, path, 'sig=a%2Bb');
      if (redirect === 'twice')
        return void response.writeHead(302, { location: `${this.url}${path}?hop=1` }).end();
      if (redirect === 'single-use') {
        const signature = `once=${++this.#signatures}`;
        blob.signatures.add(signature);
        return this.#toStorage(response, path, signature);
      }
    }
    if (redirect === 'single-use' && !blob.signatures.delete(hops))
      return void response.writeHead(400).end('expired');
    if (auth === 'denied') return void response.writeHead(403).end('denied');
    if (auth === 'absent') return void response.writeHead(404).end('absent');
    if (request.method === 'HEAD' && head !== 'served')
      return void response.writeHead(head === 'bare' ? 200 : head).end();
    if (fault === 'dropped' && !blob.isFaultOver) {
      blob.isFaultOver = true;
      return void request.socket.destroy();
    }
    if (fault === 'single' && request.method !== 'HEAD') {
      if (blob.isBusy) return void response.writeHead(503).end('busy');
      blob.isBusy = true;
      response.on('close', () => (blob.isBusy = false));
    }
    serve(blob, request, response);
  }

  #toStorage(response: ServerResponse, path: string, query: string): void {
    response.writeHead(307, { location: `http://${this.storageHost}${path}?${query}` }).end();
  }
}

function sendManifest({ path, bytes }: MockBlob, response: ServerResponse): void {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const layer = { digest: path.split('/').at(-1), size: bytes.length };
  const body = JSON.stringify({ schemaVersion: 2, mediaType, layers: [layer] });
  response.writeHead(200, { 'content-type': mediaType }).end(body);
}

function serve(blob: MockBlob, request: IncomingMessage, response: ServerResponse): void {
  const { ranges, length, coding, fault, sizeBytes } = blob.behaviour;
  const isCompressed = coding === 'compressed' && sizeBytes <= COMPRESSED_BYTES_MAX;
  const bytes = isCompressed ? gzipSync(blob.bytes, { level: 1 }) : blob.bytes;
  const headers: Record<string, string> = {};
  if (isCompressed) headers['content-encoding'] = 'gzip';
  else if (coding !== 'none' && coding !== 'compressed') headers['content-encoding'] = coding;
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  // What is compressed on the way is not served in parts.
  const isRanged = first !== undefined && ranges !== 'ignored' && !isCompressed;
  if (isRanged && typeof ranges === 'number')
    return void response.writeHead(ranges).end('no range');
  const from = isRanged ? Number(first) : 0;
  if (isRanged && from >= bytes.length)
    return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  let end = isRanged && last !== '' ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
  if (isRanged && ranges === 'short') end = Math.min(end, from + 50_000);
  let part = bytes.subarray(from, end);
  const contentRange = `bytes ${from}-${end - 1}/${ranges === 'star' ? '*' : bytes.length}`;
  if (isRanged && ranges === 'multipart') {
    headers['content-type'] = 'multipart/byteranges; boundary=B';
    part = Buffer.concat([
      Buffer.from(`--B\r\ncontent-range: ${contentRange}\r\n\r\n`),
      part,
      Buffer.from('\r\n--B--\r\n'),
    ]);
  } else if (isRanged && ranges !== 'unnamed') headers['content-range'] = contentRange;
  if (length === 'told') headers['content-length'] = String(part.length);
  if (length === 'closed') response.removeHeader('transfer-encoding');
  const status = isRanged && ranges !== 'mislabelled' ? 206 : 200;
  response.writeHead(status, headers);
  if (request.method === 'HEAD') return void response.end();
  const limit = limitOf(blob, part.length);
  if (fault === 'cut') blob.isFaultOver = true;
  if (limit < part.length) {
    blob.sentBytes += limit;
    return void response.write(part.subarray(0, limit), () => request.socket.destroy());
  }
  blob.sentBytes += isCompressed ? sizeBytes : end - from;
  return void response.end(part);
}

/** How many bytes of a body are sent before the connection ends. */
function limitOf({ behaviour: { fault }, isFaultOver }: MockBlob, bodyBytes: number): number {
  if (fault === 'limited') return LIMITED_BYTES;
  return fault === 'cut' && !isFaultOver && bodyBytes > 1 ? Math.floor(bodyBytes / 2) : Infinity;
}

/** Bytes that all contents of one size begin with. */
interface Start {
  bytes: Buffer;
  hash: Hash;
}

const starts = new Map<number, Start>();

/** Contents of one size differ at their end, so that their beginning is hashed once. */
function contentOf(sizeBytes: number, name: string): { bytes: Buffer; digest: string } {
  const end = Buffer.from(name.padEnd(NAME_BYTES)).subarray(0, sizeBytes);
  let start = starts.get(sizeBytes);
  if (start === undefined) {
    const bytes = pattern(sizeBytes - end.length);
    start = { bytes, hash: createHash('sha256').update(bytes) };
    starts.set(sizeBytes, start);
  }
  const digest = `sha256:${start.hash.copy().update(end).digest('hex')}`;
  return { bytes: Buffer.concat([start.bytes, end]), digest };
}

function hostOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
