import { LRUCache } from 'lru-cache';
import { ShoalError } from '../errors.ts';
import { PARSED_HOST_CHARS_MAX, PARSED_HOSTS_MAX } from './limits.ts';

/** An absolute http or https URL cut into what a connection and a request line need. */
export interface SplitUrl {
  scheme: 'http' | 'https';
  /**
   * Lower case, IPv6 in brackets, IPv4 in its usual form whatever it was written as (WHATWG URL
   * host parser).
   */
  hostname: string;
  port: number;
  /** `hostname[:port]`, the port only when it is not the scheme's own. */
  host: string;
  /** `scheme://host`. */
  origin: string;
  /** As it was written: neither decoded nor normalised, `//` and `..` kept, at least `/`. */
  path: string;
  /** Without the `?`; undefined when there is none. */
  query: string | undefined;
}

type HostParts = Omit<SplitUrl, 'path' | 'query'>;

const PARTS = /^(https?):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i;
const REQUEST_TARGET = /^[\x21-\x7e]*$/;

/**
 * Cuts `url` without touching its path and query: a signature holds for the very bytes that were
 * signed.
 * @throws ShoalError BAD_REQUEST when it is no absolute http(s) URL, carries userinfo or a
 * fragment, or has bytes no request line may have.
 */
export function splitUrl(url: string): SplitUrl {
  const parts = PARTS.exec(url);
  if (parts === null || !REQUEST_TARGET.test(url))
    throw new ShoalError('BAD_REQUEST', 'not an absolute http or https URL');
  const [, schemeText = '', authority = '', path = '', query] = parts;
  if (authority.includes('@'))
    throw new ShoalError('BAD_REQUEST', 'a URL with a user name or password is not fetched');
  const scheme = schemeText.toLowerCase() as 'http' | 'https';
  return { ...hostOf(scheme, authority), path: path === '' ? '/' : path, query };
}

/** Hosts that were parsed lately, by scheme and authority as they were written. */
const parsedHosts = new LRUCache<string, HostParts>({ max: PARSED_HOSTS_MAX });

function hostOf(scheme: 'http' | 'https', authority: string): HostParts {
  const written = `${scheme}://${authority}`;
  let host = parsedHosts.get(written);
  if (host === undefined) {
    const parsed = URL.parse(`${written}/`);
    if (parsed === null || parsed.pathname !== '/' || parsed.hostname === '')
      throw new ShoalError('BAD_REQUEST', 'not a URL with a valid host');
    const port = parsed.port === '' ? defaultPort(scheme) : Number(parsed.port);
    host = { scheme, hostname: parsed.hostname, port, host: parsed.host, origin: parsed.origin };
    if (written.length <= PARSED_HOST_CHARS_MAX) parsedHosts.set(written, host);
  }
  return host;
}

/** The URL put together again, its host in the normal form, path and query as they were. */
export function joinUrl(url: SplitUrl): string {
  return url.query === undefined ? url.origin + url.path : `${url.origin}${url.path}?${url.query}`;
}

/** A host name without the brackets of an IPv6 literal and the root's trailing dot. */
export function bareHost(hostname: string): string {
  if (hostname.startsWith('[')) return hostname.slice(1, -1);
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
}

function defaultPort(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80;
}
