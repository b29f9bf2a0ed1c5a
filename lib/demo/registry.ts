import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { systemClock } from '../clock.ts';
import type { Clock } from '../clock.ts';
import { SHARD_BYTES } from '../limits.ts';
import { parseRange, resolveRange } from '../registry/range.ts';
import type { Line } from './line.ts';
import { TokenIssuer } from './registry-token.ts';
import type { Credentials } from '../registry/docker-config.ts';
import type { SampleBlob, SampleImage } from './sample-image.ts';

/** What the registry sent for one path. */
interface PathTraffic {
  requests: number;
  bytes: number;
}

interface RegistryTraffic {
  /** GETs of blobs and the payload sent for them, access checks apart. */
  blobs: PathTraffic;
  /** One-byte ranges of blobs: a node asking whether a client may read (docs/SPEC.md 2.7). */
  accessChecks: PathTraffic;
  /** Everything answered, by path without query. */
  paths: ReadonlyMap<string, PathTraffic>;
  /** GETs of the shard (or blob smaller than one) asked for most often, access checks apart. */
  shardRequestsMax: number;
}

const WRITE_STEP_BYTES = 256 * 1024;
const SERVICE = 'shoal-demo';

/**
 * A read-only OCI registry (distribution-spec 1.1, pull) on loopback, holding one image in memory,
 * with Bearer token authentication as real ones have it, and counting what it sends.
 */
export class DemoRegistry {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly #server;
  readonly #issuer: TokenIssuer;
  readonly #blobs: ReadonlyMap<string, SampleBlob>;
  readonly #image: SampleImage;
  readonly #paths = new Map<string, PathTraffic>();
  /** By digest and number of the shard that a request begins in. */
  readonly #shardRequests = new Map<string, number>();
  readonly #blobTraffic: PathTraffic = { requests: 0, bytes: 0 };
  readonly #checkTraffic: PathTraffic = { requests: 0, bytes: 0 };
  readonly #line: Line | null;

  private constructor(
    image: SampleImage,
    clock: Clock,
    server: ReturnType<typeof createServer>,
    host: string,
    line: Line | null,
  ) {
    this.#image = image;
    this.#line = line;
    this.#issuer = new TokenIssuer(clock);
    this.#blobs = new Map(image.blobs.map((blob) => [blob.digest, blob]));
    this.#server = server;
    this.url = `http://${host}:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** `line`: what all blobs go over; without one, as fast as can be. */
  static async start(
    image: SampleImage,
    clock: Clock = systemClock,
    host = '127.0.0.1',
    line: Line | null = null,
  ): Promise<DemoRegistry> {
    const server = createServer();
    server.listen(0, host);
    await once(server, 'listening');
    return new DemoRegistry(image, clock, server, host, line);
  }

  get credentials(): Credentials {
    return this.#issuer.credentials;
  }

  get traffic(): RegistryTraffic {
    return {
      blobs: { ...this.#blobTraffic },
      accessChecks: { ...this.#checkTraffic },
      paths: this.#paths,
      shardRequestsMax: Math.max(0, ...this.#shardRequests.values()),
    };
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const path = url.pathname;
    const counted = this.#count(path);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return fail(response, 405, 'UNSUPPORTED', 'this registry is read-only', {
        allow: 'GET, HEAD',
      });
    }
    if (path === '/token') return this.#answerToken(request, response, url);
    const [, repository, kind, reference] =
      /^\/v2\/(?:(.+)\/(manifests|blobs|tags)\/([^/]+))?$/.exec(path) ?? [];
    if (!path.startsWith('/v2')) return fail(response, 404, 'NAME_UNKNOWN', 'not here');
    if (!this.#issuer.accepts(request.headers.authorization, repository ?? null))
      return this.#challenge(response, repository);
    if (repository === undefined)
      return send(response, path === '/v2/' ? 200 : 404, 'application/json', '{}');
    if (repository !== this.#image.repository)
      return fail(response, 404, 'NAME_UNKNOWN', 'no such repository');
    if (kind === 'tags' && reference === 'list') {
      return send(
        response,
        200,
        'application/json',
        JSON.stringify({ name: repository, tags: [this.#image.tag] }),
      );
    }
    if (kind === 'manifests') return this.#answerManifest(response, reference);
    const blob = kind === 'blobs' ? this.#blobs.get(reference ?? '') : undefined;
    if (blob === undefined) return fail(response, 404, 'BLOB_UNKNOWN', 'no such blob');
    await this.#answerBlob(request, response, blob, counted);
  }

  #count(path: string): PathTraffic {
    let counted = this.#paths.get(path);
    if (counted === undefined) this.#paths.set(path, (counted = { requests: 0, bytes: 0 }));
    counted.requests++;
    return counted;
  }

  #answerToken(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const issued = this.#issuer.issue(request.headers.authorization, url.searchParams.get('scope'));
    if (issued === null)
      return fail(response, 401, 'UNAUTHORIZED', 'wrong user or password', {
        'www-authenticate': `Basic realm="${SERVICE}"`,
      });
    const { token, expiresInSeconds } = issued;
    send(
      response,
      200,
      'application/json',
      JSON.stringify({ token, access_token: token, expires_in: expiresInSeconds }),
    );
  }

  #challenge(response: ServerResponse, repository: string | undefined): void {
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:pull"`;
    fail(response, 401, 'UNAUTHORIZED', 'authentication required', {
      'www-authenticate': `Bearer realm="${this.url}/token",service="${SERVICE}"${scope}`,
    });
  }

  #answerManifest(response: ServerResponse, reference: string | undefined): void {
    const { manifest, tag } = this.#image;
    if (reference !== tag && reference !== manifest.digest)
      return fail(response, 404, 'MANIFEST_UNKNOWN', 'no such manifest');
    send(response, 200, manifest.mediaType, manifest.bytes, {
      'docker-content-digest': manifest.digest,
      etag: `"${manifest.digest}"`,
    });
  }

  async #answerBlob(
    request: IncomingMessage,
    response: ServerResponse,
    blob: SampleBlob,
    counted: PathTraffic,
  ): Promise<void> {
    const { status, startBytes, endBytes, contentRange } = resolveRange(
      parseRange(request.headers.range),
      blob.bytes.length,
    );
    const headers: Record<string, string> = {
      'accept-ranges': 'bytes',
      'docker-content-digest': blob.digest,
      etag: `"${blob.digest}"`,
    };
    if (contentRange !== undefined) headers['content-range'] = contentRange;
    if (status === 416)
      return fail(response, 416, 'SIZE_INVALID', 'range not satisfiable', headers);
    const part = blob.bytes.subarray(startBytes, endBytes);
    response.writeHead(status, {
      ...headers,
      'content-type': 'application/octet-stream',
      'content-length': part.length,
    });
    if (request.method === 'HEAD') return void response.end();
    const total = status === 206 && part.length === 1 ? this.#checkTraffic : this.#blobTraffic;
    total.requests++;
    if (total === this.#blobTraffic) {
      const shard = `${blob.digest} ${Math.floor(startBytes / SHARD_BYTES)}`;
      this.#shardRequests.set(shard, (this.#shardRequests.get(shard) ?? 0) + 1);
    }
    const gone = once(response, 'close');
    for (let at = 0; at < part.length && !response.destroyed; at += WRITE_STEP_BYTES) {
      const step = part.subarray(at, at + WRITE_STEP_BYTES);
      counted.bytes += step.length;
      total.bytes += step.length;
      await this.#line?.pass(step.length);
      if (!response.write(step)) await Promise.race([once(response, 'drain'), gone]);
    }
    response.end();
  }
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): void {
  // Node leaves the body of an answer to HEAD out by itself.
  response
    .writeHead(status, {
      ...headers,
      'content-type': type,
      'content-length': Buffer.byteLength(body),
    })
    .end(body);
}

function fail(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  send(
    response,
    status,
    'application/json',
    JSON.stringify({ errors: [{ code, message }] }),
    headers,
  );
}
