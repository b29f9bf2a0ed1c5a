import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveRanges } from '../origin/origin-server.ts';

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
}

interface Repository {
  blobs: Map<string, Buffer>;
  /** By digest. */
  manifests: Map<string, { mediaType: string; bytes: Buffer }>;
  tags: Map<string, string>;
  /** By the digest of the subject. */
  referrers: Map<string, Descriptor[]>;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';

/**
 * A registry in memory that keeps to the OCI distribution specification 1.1, referrers and sha512
 * too, which the real ones at hand do not: the suite has nothing to say against it, so what it says
 * is about what stands before it.
 */
export class SpecRegistry {
  readonly #server: Server;
  readonly #repositories = new Map<string, Repository>();
  readonly #uploads = new Map<string, Buffer>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<SpecRegistry> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SpecRegistry(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? '', 'http://registry');
    const [, name = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/(.*)$/.exec(url.pathname) ??
      [];
    const repository = this.#repository(name);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (url.pathname === '/v2/') end(response, 200);
    else if (kind === 'blobs/uploads')
      this.#upload(request, response, url, name, repository, reference, body);
    else if (kind === 'blobs' && isRead) this.#blob(request, response, repository, reference);
    else if (kind === 'manifests' && isRead) this.#manifest(response, repository, reference);
    else if (kind === 'manifests' && request.method === 'PUT')
      this.#putManifest(request, response, name, repository, reference, body);
    else if (kind === 'tags') this.#tags(response, url, name, repository);
    else if (kind === 'referrers')
      this.#referrers(response, repository, reference, url.searchParams.get('artifactType'));
    else refuse(response, 405, 'UNSUPPORTED');
  }

  #repository(name: string): Repository {
    const repository = this.#repositories.get(name) ?? {
      blobs: new Map(),
      manifests: new Map(),
      tags: new Map(),
      referrers: new Map(),
    };
    this.#repositories.set(name, repository);
    return repository;
  }

  #upload(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    name: string,
    repository: Repository,
    id: string,
    body: Buffer,
  ): void {
    const mounted = this.#repositories
      .get(url.searchParams.get('from') ?? '')
      ?.blobs.get(url.searchParams.get('mount') ?? '');
    if (request.method === 'POST' && mounted !== undefined) {
      this.#keep(response, name, repository, url.searchParams.get('mount')!, mounted);
      return;
    }
    const digest = url.searchParams.get('digest');
    if (request.method === 'POST' && digest === null) {
      const opened = randomUUID();
      this.#uploads.set(opened, Buffer.alloc(0));
      end(response, 202, { location: `/v2/${name}/blobs/uploads/${opened}`, range: '0-0' });
      return;
    }
    const before = request.method === 'POST' ? Buffer.alloc(0) : this.#uploads.get(id);
    if (before === undefined) {
      refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN');
      return;
    }
    const at = /^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1];
    const location = `/v2/${name}/blobs/uploads/${id}`;
    if (body.length > 0 && at !== undefined && Number(at) !== before.length) {
      end(response, 416, { location, range: `0-${before.length - 1}` });
      return;
    }
    const bytes = Buffer.concat([before, body]);
    if (digest !== null && (request.method === 'PUT' || request.method === 'POST')) {
      this.#uploads.delete(id);
      this.#keep(response, name, repository, digest, bytes);
    } else if (request.method === 'PATCH') {
      this.#uploads.set(id, bytes);
      end(response, 202, { location, range: `0-${bytes.length - 1}` });
    } else end(response, 204, { location, range: `0-${Math.max(0, before.length - 1)}` });
  }

  #keep(
    response: ServerResponse,
    name: string,
    repository: Repository,
    digest: string,
    bytes: Buffer,
  ): void {
    if (digestOf(digest, bytes) !== digest) {
      refuse(response, 400, 'DIGEST_INVALID');
      return;
    }
    repository.blobs.set(digest, bytes);
    end(response, 201, {
      location: `/v2/${name}/blobs/${digest}`,
      'docker-content-digest': digest,
    });
  }

  #blob(
    request: IncomingMessage,
    response: ServerResponse,
    repository: Repository,
    digest: string,
  ): void {
    const bytes = repository.blobs.get(digest);
    if (bytes === undefined) refuse(response, 404, 'BLOB_UNKNOWN');
    else serveRanges(bytes)(request, response);
  }

  #manifest(response: ServerResponse, repository: Repository, reference: string): void {
    const digest = repository.tags.get(reference) ?? reference;
    const manifest = repository.manifests.get(digest);
    if (manifest === undefined) refuse(response, 404, 'MANIFEST_UNKNOWN');
    else
      end(
        response,
        200,
        { 'content-type': manifest.mediaType, 'docker-content-digest': digest },
        manifest.bytes,
      );
  }

  #putManifest(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    repository: Repository,
    reference: string,
    bytes: Buffer,
  ): void {
    const isTag = !reference.includes(':');
    const digest = digestOf(reference, bytes);
    if (!isTag && digest !== reference) {
      refuse(response, 400, 'DIGEST_INVALID');
      return;
    }
    const mediaType = request.headers['content-type'] ?? '';
    repository.manifests.set(digest, { mediaType, bytes });
    if (isTag) repository.tags.set(reference, digest);
    const { subject, config, artifactType, annotations } = JSON.parse(bytes.toString()) as {
      subject?: Descriptor;
      config?: Descriptor;
      artifactType?: string;
      annotations?: Record<string, string>;
    };
    if (subject !== undefined) {
      const type = artifactType ?? config?.mediaType;
      const others = (repository.referrers.get(subject.digest) ?? []).filter(
        (one) => one.digest !== digest,
      );
      repository.referrers.set(subject.digest, [
        ...others,
        {
          mediaType,
          digest,
          size: bytes.length,
          ...(type === undefined ? {} : { artifactType: type }),
          ...(annotations === undefined ? {} : { annotations }),
        },
      ]);
    }
    end(response, 201, {
      location: `/v2/${name}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(subject === undefined ? {} : { 'oci-subject': subject.digest }),
    });
  }

  #tags(response: ServerResponse, url: URL, name: string, repository: Repository): void {
    const last = url.searchParams.get('last') ?? '';
    const all = [...repository.tags.keys()].sort().filter((tag) => tag > last);
    const tags = all.slice(0, Number(url.searchParams.get('n') ?? all.length));
    const next: Record<string, string> =
      tags.length > 0 && tags.length < all.length
        ? { link: `</v2/${name}/tags/list?n=${tags.length}&last=${tags.at(-1)}>; rel="next"` }
        : {};
    end(
      response,
      200,
      { 'content-type': 'application/json', ...next },
      Buffer.from(JSON.stringify({ name, tags })),
    );
  }

  #referrers(
    response: ServerResponse,
    repository: Repository,
    digest: string,
    artifactType: string | null,
  ): void {
    const all = repository.referrers.get(digest) ?? [];
    const manifests =
      artifactType === null ? all : all.filter((one) => one.artifactType === artifactType);
    end(
      response,
      200,
      {
        'content-type': INDEX,
        ...(artifactType === null ? {} : { 'oci-filters-applied': 'artifactType' }),
      },
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests })),
    );
  }
}

/** The digest of `bytes` by the algorithm of `like`, or sha256. */
function digestOf(like: string, bytes: Buffer): string {
  const algorithm = like.startsWith('sha512:') ? 'sha512' : 'sha256';
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

function end(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
  body: Buffer = Buffer.alloc(0),
): void {
  response
    .writeHead(
      status,
      status === 204 ? headers : { ...headers, 'content-length': String(body.length) },
    )
    .end(body);
}

function refuse(response: ServerResponse, status: number, code: string): void {
  end(
    response,
    status,
    { 'content-type': 'application/json' },
    Buffer.from(JSON.stringify({ errors: [{ code, message: code }] })),
  );
}
