import { createHash } from 'node:crypto';
import { joinUrl, type SplitUrl } from './url.ts';

/** The blob a request is about: its bytes, their source, and what a right to read them covers. */
export interface BlobTarget {
  /**
   * The key under which bytes are shared: the digest (`sha256:<hex>`) if a configured registry
   * vouches for the source (see Vouching), else `url:<sha256 hex of the URL without its query>`.
   */
  key: string;
  /** `sha256:<hex>` or `sha512:<hex>` if the URL names it. */
  digest?: string;
  /** Absolute, with its query: may carry a signature, so never log it. */
  url: string;
  /** `host[:port]` of the URL. */
  upstreamHost: string;
  repository?: string;
  /**
   * What one proof of a right covers: `repo <host>/<name>`, or `url <sha256 hex of the URL with
   * its query>`, since the query is the credential of a signed URL. Holds no secret.
   */
  scope: string;
  /** `/` + URL without query, as in the audit log. */
  pathname: string;
}

const STORED_BLOB = /\/sha256\/([0-9a-f]{2})\/([0-9a-f]{64})\/data$/;
const REGISTRY_OBJECT = /^\/v2\/.+\/(?:blobs|manifests)\/(sha256:[0-9a-f]{64})$/;

/**
 * A blob of a repository: `url` is its `/v2/<repository>/blobs/<digest>` at the upstream.
 * `vouched`: whether a configured registry vouches for `url`.
 */
export function repositoryBlob(
  url: SplitUrl,
  repository: string,
  digest: string,
  vouched: boolean,
): BlobTarget {
  return {
    key: vouched && digest.startsWith('sha256:') ? digest : urlKey(url),
    digest,
    url: joinUrl(url),
    upstreamHost: url.host,
    repository,
    scope: repositoryScope(url.host, repository),
    pathname: `/${bareUrl(url)}`,
  };
}

/** A blob by its (signed) URL, as overlaybd asks for it. `vouched`: see `repositoryBlob`. */
export function urlBlob(url: SplitUrl, vouched: boolean): BlobTarget {
  const digest = digestNamedBy(url.path);
  const whole = joinUrl(url);
  return {
    key: vouched && digest !== undefined ? digest : urlKey(url),
    ...(digest === undefined ? {} : { digest }),
    url: whole,
    upstreamHost: url.host,
    scope: `url ${sha256Hex(whole)}`,
    pathname: `/${bareUrl(url)}`,
  };
}

/** What a grant for a whole repository covers. */
export function repositoryScope(upstreamHost: string, repository: string): string {
  return `repo ${upstreamHost}/${repository}`;
}

/**
 * The digest in an object-storage path `.../sha256/ab/ab<62 hex>/data` (the layout of docker
 * distribution's storage driver).
 */
export function storedDigest(path: string): string | undefined {
  const [, shelf, hex] = STORED_BLOB.exec(path) ?? [];
  return shelf !== undefined && hex !== undefined && hex.startsWith(shelf)
    ? `sha256:${hex}`
    : undefined;
}

/** The sha256 digest that a path names, in object storage or in a registry's API. */
export function digestNamedBy(path: string): string | undefined {
  return storedDigest(path) ?? REGISTRY_OBJECT.exec(path)?.[1];
}

/** The key of bytes that count for their own URL only. */
export function urlKey(url: SplitUrl): string {
  return `url:${sha256Hex(bareUrl(url))}`;
}

/** Without the query: it only proves the right to read. */
function bareUrl(url: SplitUrl): string {
  return url.origin + url.path;
}

/** The name of a blob in a trace with this salt (lib/control/serve/read-trace.ts). */
export function traceName(digest: string, salt: string): string {
  return sha256Hex(`shoal trace ${salt} ${digest}`);
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
