import { ERROR_MESSAGE_CHARS_MAX } from './limits.ts';

/**
 * From a `?` inside a word to the next blank. A quote can be part of a query, so the pattern
 * removes too much rather than too little.
 */
const QUERY_IN_TEXT = /(?<=\S)\?\S+/g;
const USER_IN_TEXT = /(?<=:\/\/)[^\s/@]*@/g;
const AUTHORIZATION_IN_TEXT = /\b(bearer|basic|digest|negotiate|token)\s+[\w\-.~+/=,:"]+/gi;
const SECRET_NAME = [
  'signature',
  'password',
  'passwd',
  'secret',
  'token',
  'credential',
  'accesskeyid',
  'authorization',
  'cookie',
  'api-?key',
].join('|');
/** A value in quotes, or up to the next separator. */
const VALUE = /"[^"]*"|'[^']*'|(?!["'])[^\s&,;"'<>]+/.source;
const NAMED_SECRET_IN_TEXT = new RegExp(`((?:${SECRET_NAME})["']?\\s*[=:]\\s*)(${VALUE})`, 'gi');

/** A URL for display: no query (signatures), no fragment, no user or password. */
export function redactUrl(url: string): string {
  const end = url.search(/[?#]/);
  const bare = end === -1 ? url : url.slice(0, end);
  return bare.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}

/**
 * Free text, such as a library's error message, without URL queries, credentials and secrets, cut
 * to `charsMax`.
 */
export function redactText(text: string, charsMax = ERROR_MESSAGE_CHARS_MAX): string {
  return text
    .slice(0, charsMax * 8)
    .replace(QUERY_IN_TEXT, '')
    .replace(USER_IN_TEXT, '')
    .replace(AUTHORIZATION_IN_TEXT, '$1 [redacted]')
    .replace(NAMED_SECRET_IN_TEXT, '$1[redacted]')
    .slice(0, charsMax);
}

/** Headers that never carry a secret; others are not logged. */
const SAFE_HEADERS = new Set([
  'accept',
  'accept-encoding',
  'accept-ranges',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'docker-content-digest',
  'docker-distribution-api-version',
  'etag',
  'host',
  'if-range',
  'range',
  'retry-after',
  'server',
  'shoal-request-id',
  'user-agent',
]);

/**
 * The headers that may be logged, names in lower case. An allow-list is safe for unknown headers.
 */
export function safeHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const safe: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (value !== undefined && SAFE_HEADERS.has(lower)) safe[lower] = redactText(String(value));
  }
  return safe;
}
