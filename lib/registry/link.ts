import { splitUrl } from './url.ts';

/**
 * A Link header (RFC 8288) of an upstream, for a client that asked this node: the next page of tags
 * or referrers must be asked for at this node again, at the same registry. A target at the upstream
 * becomes a path, with the request's `ns`. Targets elsewhere stay as they are.
 */
export function linkThrough(link: string, upstreamHost: string, namespace: string | null): string {
  return link.replaceAll(/<([^<>]*)>/g, (whole, target: string) => {
    const path = pathAt(target, upstreamHost);
    if (path === null) return whole;
    const hasNamespace = namespace === null || /[?&]ns=/.test(path);
    if (hasNamespace) return `<${path}>`;
    return `<${path}${path.includes('?') ? '&' : '?'}ns=${encodeURIComponent(namespace)}>`;
  });
}

/** Path and query of a target at the upstream, as written; null when it is elsewhere. */
function pathAt(target: string, upstreamHost: string): string | null {
  // A query alone or a relative path resolves against the request's own URL, whose `ns` a client
  // drops; with `ns` added it stays at the registry.
  if (!/^[a-z][a-z0-9+.-]*:|^\/\//i.test(target)) return target;
  try {
    const url = splitUrl(target.startsWith('//') ? `https:${target}` : target);
    if (url.host !== upstreamHost) return null;
    return url.query === undefined ? url.path : `${url.path}?${url.query}`;
  } catch {
    return null;
  }
}
