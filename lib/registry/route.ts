import { ShoalError } from '../errors.ts';
import { allowListOf, type AllowConfig } from './allow.ts';
import { repositoryBlob, repositoryScope, urlBlob, type BlobTarget } from './identity.ts';
import { isDigest, isRepository, isTag } from './names.ts';
import { upstreamsOf } from './upstream.ts';
import { splitUrl, joinUrl, type SplitUrl } from './url.ts';
import { vouchingOf } from './vouching.ts';

/** A request as it came, nothing decoded. */
export interface RouteRequest {
  method: string;
  /** Path as on the request line, `//` kept, without query. */
  rawPath: string;
  /** Without the `?`; '' when there is none. */
  query: string;
  /** The Host header. */
  host: string;
}

/**
 * The part of the config that routing needs. Treated as frozen: what is derived from it is kept per
 * object.
 */
export interface RouteConfig extends AllowConfig {
  /** The first path segment of on-demand loading, without slashes. */
  prefix: string;
  /**
   * The upstream that answers for a registry now. Rights are remembered for it alone: what one
   * mirror lets a client read, another one may not.
   */
  answering?: (origin: string) => string;
}

export type RelayKind = 'ping' | 'manifest' | 'tags' | 'referrers' | 'token' | 'other';

export type Route =
  | { kind: 'blob'; target: BlobTarget }
  /**
   * To be passed through; `scope` is the repository's access scope (null when there is none),
   * `reference` a tag or digest.
   */
  | {
      kind: 'relay';
      what: RelayKind;
      url: string;
      upstreamHost: string;
      scope: string | null;
      repository?: string;
      reference?: string;
    }
  | { kind: 'refused'; error: ShoalError };

/**
 * What a request on the proxy port is (docs/SPEC.md 2.1 and 2.2): a blob to read through the swarm,
 * something to pass through, or a refusal. The host is checked against the allow-list by name; what
 * it resolves to, when it is dialled.
 */
export function classify(request: RouteRequest, config: RouteConfig): Route {
  try {
    const underPrefix = `/${config.prefix}/`;
    if (request.rawPath.startsWith(underPrefix))
      return onDemand(request, request.rawPath.slice(underPrefix.length), config);
    if (request.rawPath === '/v2' || request.rawPath.startsWith('/v2/'))
      return registryFront(request, config);
    throw new ShoalError('PATH_UNKNOWN', `this port serves /v2/ and ${underPrefix}<URL>`);
  } catch (thrown) {
    return { kind: 'refused', error: ShoalError.from(thrown) };
  }
}

/** Servers resolve these (RFC 3986 6.2.2.3), also percent-encoded; then the path is another one. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;

function onDemand(request: RouteRequest, rest: string, config: RouteConfig): Route {
  assertPull(request.method);
  const url = splitUrl(request.query === '' ? rest : `${rest}?${request.query}`);
  assertAllowed(url, config);
  if (DOT_SEGMENT.test(url.path))
    throw new ShoalError('BAD_REQUEST', 'the path of the URL has a "." or ".." segment');
  return { kind: 'blob', target: urlBlob(url, vouchingOf(config).vouchesFor(url)) };
}

function registryFront(request: RouteRequest, config: RouteConfig): Route {
  assertPull(request.method);
  const { ns, query } = takeNamespace(request.query);
  const origin = upstreamsOf(config).find(ns, request.host);
  if (origin === null) {
    throw new ShoalError(
      'UPSTREAM_UNKNOWN',
      ns === null
        ? 'no registry is configured for this Host and none as the default'
        : 'ns is not a registry host',
    );
  }
  const path = request.rawPath === '/v2' ? '/v2/' : request.rawPath;
  const url = splitUrl(origin + path + (query === '' ? '' : `?${query}`));
  assertAllowed(url, config);
  const relay = { kind: 'relay', url: joinUrl(url), upstreamHost: url.host } as const;
  if (path === '/v2/') return { ...relay, what: 'ping', scope: null };

  const [, repository, kind, rawReference] =
    /^\/v2\/(.+)\/(blobs|manifests|tags|referrers)\/([^/]*)$/.exec(path) ?? [];
  if (repository === undefined || kind === undefined || rawReference === undefined)
    return { ...relay, what: otherThan(path), scope: null };
  if (!isRepository(repository))
    throw new ShoalError('NAME_INVALID', 'not a valid repository name');
  // Some clients encode the colon of a digest; nothing else in a reference can be encoded.
  const reference = rawReference.replace(/%3a/i, ':');
  const answering = config.answering?.(url.origin) ?? url.origin;
  const scopeHost = answering === url.origin ? url.host : splitUrl(answering).host;
  const scope = repositoryScope(scopeHost, repository);
  switch (kind) {
    case 'blobs': {
      if (!isDigest(reference))
        throw new ShoalError('DIGEST_INVALID', 'not a valid sha256 or sha512 digest');
      const at = { ...url, path: `/v2/${repository}/blobs/${reference}` };
      const isVouched = vouchingOf(config).vouchesFor(at);
      const target = repositoryBlob(at, repository, reference, isVouched);
      return { kind: 'blob', target: { ...target, scope } };
    }
    case 'manifests':
      if (reference.includes(':') && !isDigest(reference))
        throw new ShoalError('DIGEST_INVALID', 'not a valid sha256 or sha512 digest');
      if (!isDigest(reference) && !isTag(reference))
        throw new ShoalError('NAME_INVALID', 'not a valid tag');
      return { ...relay, what: 'manifest', scope, repository, reference };
    case 'referrers':
      if (!isDigest(reference))
        throw new ShoalError('DIGEST_INVALID', 'not a valid sha256 or sha512 digest');
      return { ...relay, what: 'referrers', scope, repository, reference };
    default:
      return { ...relay, what: reference === 'list' ? 'tags' : 'other', scope, repository };
  }
}

/** What is neither ping nor about one object of a repository; uploads belong to pushing. */
function otherThan(path: string): RelayKind {
  if (/\/blobs\/uploads(\/|$)/.test(path))
    throw new ShoalError(
      'METHOD_UNSUPPORTED',
      'this is a mirror for pulling; push to the registry itself',
    );
  if (path.includes('//') || /\/\.\.?(\/|$)/.test(path) || path.includes('%'))
    throw new ShoalError('NAME_INVALID', 'not a valid path of the registry API');
  return path === '/v2/token' || path === '/v2/auth' ? 'token' : 'other';
}

function assertPull(method: string): void {
  if (method !== 'GET' && method !== 'HEAD')
    throw new ShoalError(
      'METHOD_UNSUPPORTED',
      'this is a mirror for pulling; push to the registry itself',
    );
}

function assertAllowed(url: SplitUrl, config: RouteConfig): void {
  if (!allowListOf(config).mayAsk(url.hostname, url.port))
    throw new ShoalError(
      'HOST_NOT_ALLOWED',
      `${url.hostname}:${url.port} is not on the allow-list of this node`,
    );
}

/**
 * The `ns` parameter (containerd's mirror convention) and the query without it; what remains is
 * left as it was written.
 */
function takeNamespace(query: string): { ns: string | null; query: string } {
  if (!/(^|&)ns=/.test(query)) return { ns: null, query };
  const parameters = query.split('&');
  const mark = parameters.find((parameter) => parameter.startsWith('ns='))!;
  const rest = parameters.filter((parameter) => !parameter.startsWith('ns='));
  return { ns: decode(mark.slice('ns='.length)), query: rest.join('&') };
}

/** The registry that a request names by `ns`, when that can stand in a header; else null. */
export function namespaceOf(query: string): string | null {
  if (!query.includes('ns=')) return null;
  const { ns } = takeNamespace(query);
  return ns !== null && /^[a-z0-9._:[\]-]+$/i.test(ns) ? ns : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
