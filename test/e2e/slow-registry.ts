import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { systemClock } from '../../lib/clock.ts';
import { Line } from '../../lib/demo/line.ts';
import { parseRange, resolveRange } from '../../lib/registry/range.ts';
import { answer, OriginServer } from '../origin/origin-server.ts';
import type { TestImage } from './image.ts';

/** An image at a SlowRegistry, with a line of its own. */
interface Served {
  image: TestImage;
  line: Line;
}

/**
 * A registry behind slow lines. With `tokenSeconds` it asks for Bearer tokens, which it no longer
 * accepts for layers after that time.
 */
export class SlowRegistry {
  /** Bytes of blobs that were sent. */
  sentBytes = 0;
  #server!: OriginServer;
  readonly #images = new Map<string, Served>();
  readonly #tokens = new Map<string, number>();
  readonly #tokenSeconds: number | null;

  private constructor(tokenSeconds: number | null) {
    this.#tokenSeconds = tokenSeconds;
  }

  static async start(tokenSeconds: number | null = null): Promise<SlowRegistry> {
    const registry = new SlowRegistry(tokenSeconds);
    registry.#server = await OriginServer.start((request, response) => {
      registry.#answer(request, response).catch(() => response.destroy());
    });
    return registry;
  }

  get host(): string {
    return this.#server.host;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  add(repository: string, image: TestImage, bytesPerSecond: number): void {
    this.#images.set(repository, { image, line: new Line(bytesPerSecond, systemClock) });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, `http://${this.host}`);
    if (pathname === '/token') return this.#issue(response);
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (this.#tokenSeconds !== null && !this.#tokens.has(token)) return this.#challenge(response);
    if (pathname === '/v2/') return answer(response, 200, '{}');
    const [, repository = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(pathname) ?? [];
    const served = this.#images.get(repository);
    if (served === undefined) return answer(response, 404);
    const { manifest, layers, dir, tag } = served.image;
    const digest = reference === tag ? manifest.digest : reference;
    const file = join(dir, 'blobs/sha256', digest.replace('sha256:', ''));
    // skopeo uses a token for a minute whatever it says, for the config after the layers too.
    const isLayer = layers.some((layer) => layer.digest === digest);
    if (isLayer && Date.now() >= (this.#tokens.get(token) ?? Infinity))
      return this.#challenge(response);
    if (kind === 'blobs') return this.#sendBlob(file, served.line, request, response);
    answer(response, 200, request.method === 'HEAD' ? '' : await readFile(file), {
      'content-length': String(manifest.size),
      'content-type': manifest.mediaType,
      'docker-content-digest': digest,
    });
  }

  #challenge(response: ServerResponse): void {
    const realm = `http://${this.host}/token`;
    answer(response, 401, '', {
      'www-authenticate': `Bearer realm="${realm}",service="slow",scope="repository:x:pull"`,
    });
  }

  #issue(response: ServerResponse): void {
    const seconds = this.#tokenSeconds!;
    const exp = Math.ceil(Date.now() / 1_000 + seconds);
    const claims = Buffer.from(JSON.stringify({ exp, jti: this.#tokens.size })).toString(
      'base64url',
    );
    const token = `e30.${claims}.c2ln`;
    this.#tokens.set(token, Date.now() + seconds * 1_000);
    answer(response, 200, JSON.stringify({ token, expires_in: seconds }), {
      'content-type': 'application/json',
    });
  }

  async #sendBlob(
    file: string,
    line: Line,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { size } = await stat(file);
    const span = resolveRange(parseRange(request.headers.range), size);
    response.writeHead(span.status, {
      'content-length': span.endBytes - span.startBytes,
      'accept-ranges': 'bytes',
      etag: '"1"',
      ...(span.contentRange === undefined ? {} : { 'content-range': span.contentRange }),
    });
    if (request.method === 'HEAD' || span.endBytes === span.startBytes) return void response.end();
    const body = createReadStream(file, { start: span.startBytes, end: span.endBytes - 1 });
    await pipeline(body, (chunks: AsyncIterable<Buffer>) => this.#pace(chunks, line), response);
  }

  async *#pace(chunks: AsyncIterable<Buffer>, line: Line): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      await line.pass(chunk.length);
      this.sentBytes += chunk.length;
      yield chunk;
    }
  }
}
