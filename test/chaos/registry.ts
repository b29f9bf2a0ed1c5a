import type { Blob } from './library.ts';

export const HOST = 'registry.test';
export const UPSTREAM = `https://${HOST}`;
/** The object storage that the registry redirects to. */
export const STORE = 'store.test';
/** A host that nodes may ask, and for which no registry vouches. */
export const STRANGER = 'stranger.test';
/** A signed URL opens its object for so long. */
const SIGNED_MS = 8_000;
/** What the stranger serves under any digest. */
export const STRANGE_BYTES = new Uint8Array(300_000);

/** How the registry serves a blob: parts as asked, always the whole, or a redirect to the store. */
export type Serving = 'parts' | 'whole' | 'redirect';

/** A span of time in which a credential opens a repository. */
interface Right {
  repository: string;
  fromMs: number;
  untilMs: number;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

/** What the registry and its object storage hold, whom they serve, and what they have sent. */
export class Registry {
  readonly #blobs = new Map<string, { blob: Blob; serving: Serving }>();
  readonly #manifests = new Map<string, Blob>();
  readonly #rights = new Map<string, Right[]>();
  readonly #nowMs: () => number;
  /** `up`, answers 503 to everything, or accepts connections and says nothing. */
  state: 'up' | 'failing' | 'silent' = 'up';
  /** The chance that an answer is cut in the middle. */
  cutChance = 0;
  requests = 0;
  readonly sentBytes = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  put(repository: string, blob: Blob, serving: Serving): void {
    this.#blobs.set(`${repository}/${blob.digest}`, { blob, serving });
  }

  /** `manifest` is found by its digest, and by `tag` until that is moved. */
  tag(repository: string, tag: string, manifest: Blob): void {
    this.#manifests.set(`${repository}/${tag}`, manifest);
    this.#manifests.set(`${repository}/${manifest.digest}`, manifest);
  }

  grant(credential: string, right: Right): void {
    this.#rights.set(credential, [...(this.#rights.get(credential) ?? []), right]);
  }

  /** Whether the credential opens the repository at some time in [fromMs, untilMs]. */
  opens(repository: string, credential: string | null, fromMs: number, untilMs: number): boolean {
    return (this.#rights.get(credential ?? '') ?? []).some(
      (right) =>
        right.repository === repository && right.fromMs <= untilMs && right.untilMs > fromMs,
    );
  }

  /** The URL of an object in the store, signed until `untilMs`. */
  signed(blob: Blob, untilMs: number): string {
    const hex = blob.digest.slice('sha256:'.length);
    const path = `/bucket/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
    return `https://${STORE}${path}?Expires=${Math.floor(untilMs)}&Signature=good`;
  }

  /** `body`: of a whole object, or of the range asked for. */
  answer(
    host: string,
    path: string,
    query: string | undefined,
    headers: Record<string, string>,
  ): Answer {
    if (host === STRANGER) return ranged(STRANGE_BYTES, headers['range']);
    this.requests += 1;
    if (this.state === 'failing') return refusal(503, 'UNAVAILABLE');
    return host === STORE
      ? this.#object(path, query, headers['range'])
      : this.#registry(path, headers);
  }

  #object(path: string, query: string | undefined, range: string | undefined): Answer {
    const asked = new URLSearchParams(query);
    const isOpen =
      asked.get('Signature') === 'good' && Number(asked.get('Expires')) > this.#nowMs();
    const hex = /\/sha256\/[0-9a-f]{2}\/([0-9a-f]{64})\/data$/.exec(path)?.[1];
    const found = [...this.#blobs.values()].find(({ blob }) => blob.digest === `sha256:${hex}`);
    if (!isOpen || found === undefined) return refusal(403, 'AccessDenied');
    return ranged(found.blob.bytes, range);
  }

  #registry(path: string, headers: Record<string, string>): Answer {
    const authorization = headers['authorization'] ?? null;
    const nowMs = this.#nowMs();
    const [, repository = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(blobs|manifests)\/(.+)$/.exec(path) ?? [];
    if (authorization === null) return refusal(401, 'UNAUTHORIZED');
    if (!this.opens(repository, authorization, nowMs, nowMs)) return refusal(403, 'DENIED');
    if (kind === 'manifests') {
      const manifest = this.#manifests.get(`${repository}/${reference}`);
      if (manifest === undefined) return refusal(404, 'MANIFEST_UNKNOWN');
      return {
        status: 200,
        headers: {
          'content-type': MANIFEST_TYPE,
          'content-length': `${manifest.bytes.length}`,
          'docker-content-digest': manifest.digest,
        },
        body: manifest.bytes,
      };
    }
    const found = this.#blobs.get(`${repository}/${reference}`);
    if (found === undefined) return refusal(404, 'BLOB_UNKNOWN');
    const { blob, serving } = found;
    if (serving === 'redirect') {
      const location = this.signed(blob, nowMs + SIGNED_MS);
      return { ...refusal(307, 'MOVED'), headers: { location, 'content-length': '0' } };
    }
    return ranged(blob.bytes, serving === 'parts' ? headers['range'] : undefined);
  }

  sent(path: string, bytes: number): void {
    const hex = /([0-9a-f]{64})(?:\/data)?$/.exec(path)?.[1];
    if (hex !== undefined)
      this.sentBytes.set(`sha256:${hex}`, (this.sentBytes.get(`sha256:${hex}`) ?? 0) + bytes);
  }
}

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** A range that runs past the end gets the whole, as some object stores do it. */
function ranged(bytes: Uint8Array, range: string | undefined): Answer {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const startBytes = Number(from);
  const endBytes = to === '' ? bytes.length : Number(to) + 1;
  if (from === undefined || (startBytes < bytes.length && endBytes > bytes.length))
    return { status: 200, headers: { 'content-length': `${bytes.length}` }, body: bytes };
  if (startBytes >= bytes.length)
    return {
      status: 416,
      headers: { 'content-length': '0', 'content-range': `bytes */${bytes.length}` },
      body: EMPTY,
    };
  return {
    status: 206,
    headers: {
      'content-length': `${endBytes - startBytes}`,
      'content-range': `bytes ${startBytes}-${endBytes - 1}/${bytes.length}`,
    },
    body: bytes.subarray(startBytes, endBytes),
  };
}

const EMPTY = new Uint8Array(0);

function refusal(status: number, code: string): Answer {
  const body = Buffer.from(JSON.stringify({ errors: [{ code, message: 'no' }] }));
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'content-length': `${body.length}`,
      ...(status === 401 ? { 'www-authenticate': `Bearer realm="${UPSTREAM}/token"` } : {}),
    },
    body,
  };
}
