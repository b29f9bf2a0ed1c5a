import { LRUCache } from 'lru-cache';
import { hostMatcher, originsOf, type AllowConfig, type HostMatcher } from './allow.ts';
import { digestNamedBy, storedDigest, urlKey } from './identity.ts';
import { VOUCHED_BUCKETS_MAX } from './limits.ts';
import { splitUrl, type SplitUrl } from './url.ts';

/** A place in object storage to which a registry has redirected a request for a blob. */
export interface Bucket {
  /** `scheme://host[:port]` of the registry. */
  registry: string;
  /** The target's URL up to `/sha256/<2 hex>/<64 hex>/data`. */
  prefix: string;
}

const REGISTRY_OBJECT = /^\/v2\/.+\/(?:blobs|manifests)\/[^/]+$/;

/**
 * Decides which sources a configured registry vouches for. Bytes from a vouched source are shared
 * under their digest. Bytes from any other source are shared only under the URL that brought them,
 * so that whoever controls a host on the allow-list cannot put bytes, a size or a slow download
 * under the digest of somebody else's blob.
 *
 * A source is vouched for if it is
 * - the `/v2/` API of a configured registry,
 * - object storage that the config lists under `registries[].storage`, or
 * - a bucket to which a configured registry has redirected this node (see `learn`).
 */
export class Vouching {
  #registries: ReadonlySet<string>;
  #isStorage: HostMatcher;
  #lastUrl: { url: string; at: SplitUrl } | null = null;
  /** The registry that has redirected to each. */
  readonly #buckets = new LRUCache<string, string>({ max: VOUCHED_BUCKETS_MAX });

  constructor(config: AllowConfig) {
    [this.#registries, this.#isStorage] = sourcesOf(config);
  }

  /** Takes up another config. Buckets of registries that it no longer names do not count. */
  configure(config: AllowConfig): void {
    [this.#registries, this.#isStorage] = sourcesOf(config);
  }

  /** Whether `url` is on a configured registry. */
  isRegistry(url: string): boolean {
    return this.#registries.has(splitUrl(url).origin);
  }

  /** Whether `url` is on a configured registry, its storage, or a bucket it has redirected to. */
  isVouched(url: string): boolean {
    // Asked for every shard of a blob, in a row.
    const at = this.#lastUrl?.url === url ? this.#lastUrl.at : splitUrl(url);
    this.#lastUrl = { url, at };
    if (this.#registries.has(at.origin) || this.#isStorage(at.hostname, at.port)) return true;
    const prefix = bucketPrefix(at);
    return prefix !== null && this.#isLearned(prefix);
  }

  /** Whether what `url` serves under a digest counts as the blob of that digest. */
  vouchesFor(url: SplitUrl): boolean {
    if (this.#registries.has(url.origin) && REGISTRY_OBJECT.test(url.path)) return true;
    const prefix = bucketPrefix(url);
    return prefix !== null && (this.#isStorage(url.hostname, url.port) || this.#isLearned(prefix));
  }

  /** A request for a blob at a registry ended in `bucket`. Ignored unless it is configured. */
  learn({ registry, prefix }: Bucket): void {
    if (this.#registries.has(registry)) this.#buckets.set(prefix, registry);
  }

  #isLearned(prefix: string): boolean {
    const registry = this.#buckets.get(prefix);
    return registry !== undefined && this.#registries.has(registry);
  }

  /** The cache key of a blob, given what has been learnt since the request was classified. */
  keyOf({ key, digest, url }: { key: string; digest?: string; url: string }): string {
    if (digest === undefined || !digest.startsWith('sha256:') || key === digest) return key;
    return this.vouchesFor(splitUrl(url)) ? digest : key;
  }

  /**
   * Whether bytes from `url` may be stored under `key`. Another node's word on where a blob comes
   * from is checked with this.
   */
  isSource(key: string, url: string): boolean {
    try {
      const at = splitUrl(url);
      return key.startsWith('sha256:')
        ? digestNamedBy(at.path) === key && this.vouchesFor(at)
        : key === urlKey(at);
    } catch {
      // Not a URL that is ever fetched (see splitUrl).
      return false;
    }
  }
}

function sourcesOf({ registries }: AllowConfig): [ReadonlySet<string>, HostMatcher] {
  return [
    new Set(
      registries.flatMap((entry) => originsOf(entry).map((origin) => splitUrl(origin).origin)),
    ),
    hostMatcher(registries.flatMap((entry) => entry.storage ?? [])),
  ];
}

/** The instance of a config; made once for each config object, since every request asks for it. */
export function vouchingOf(config: AllowConfig): Vouching {
  let vouching = made.get(config);
  if (vouching === undefined) made.set(config, (vouching = new Vouching(config)));
  return vouching;
}

const made = new WeakMap<AllowConfig, Vouching>();

/**
 * The bucket shown by a redirect from `from`, a registry's URL of a blob, to `to`. Null unless the
 * target's path names the same digest in the layout of object storage: then the host holds other
 * objects, too, and only those with this prefix are the registry's.
 */
export function bucketOf(from: SplitUrl, to: SplitUrl): Bucket | null {
  const prefix = bucketPrefix(to);
  return prefix !== null && storedDigest(to.path) === digestNamedBy(from.path)
    ? { registry: from.origin, prefix }
    : null;
}

function bucketPrefix(url: SplitUrl): string | null {
  return storedDigest(url.path) === undefined
    ? null
    : url.origin + url.path.slice(0, url.path.lastIndexOf('/sha256/'));
}
