import { createHash } from 'node:crypto';
import { joinUrl, type SplitUrl } from './url.ts';

/**
 * What a request for a blob is about: which bytes, where they come from, what a right to read them
 * covers.
 */
export interface BlobTarget {
  /** `sha256:<hex>`, or `url:<sha256 hex of the URL without its query>` (docs/SPEC.md 2.3). */
  key: string;
  /** `sha256:<hex>` or `sha512:<hex>` when the URL names it. Only sha256 is also the key. */
  digest?: string;
  /** Absolute, with its query: may carry a signature, so never log it. */
  url: string;
  /** `host[:port]` of the URL. */
  upstreamHost: string;
  repository?: string;
  /**
   * `repo <host>/<name>` or `url <sha256 hex of the URL with its query>`. No secret can be read
   * from it.
   */
  scope: string;
  /** `/` + URL without query, as the audit log has it (docs/SPEC.md 6). */
  pathname: string;
}

const STORED_BLOB = /\/sha256\/([0-9a-f]{2})\/([0-9a-f]{64})\/data$/;

/** A blob of a repository: `url` is its `/v2/<repository>/blobs/<digest>` at the upstream. */
export function repositoryBlob(url: SplitUrl, repository: string, digest: string): BlobTarget {
  const bare = url.origin + url.path;
  return {
    key: digest.startsWith('sha256:') ? digest : urlKey(bare),
    digest,
    url: joinUrl(url),
    upstreamHost: url.host,
    repository,
    scope: repositoryScope(url.host, repository),
    pathname: `/${bare}`,
  };
}

/** A blob by its (signed) URL, as overlaybd asks for it. */
export function urlBlob(url: SplitUrl): BlobTarget {
  const bare = url.origin + url.path;
  const digest = storedDigest(url.path);
  const whole = joinUrl(url);
  return {
    key: digest ?? urlKey(bare),
    ...(digest === undefined ? {} : { digest }),
    url: whole,
    upstreamHost: url.host,
    scope: `url ${sha256Hex(whole)}`,
    pathname: `/${bare}`,
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

function urlKey(bareUrl: string): string {
  return `url:${sha256Hex(bareUrl)}`;
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
