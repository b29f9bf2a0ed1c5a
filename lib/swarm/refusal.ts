import type { WireError } from '../errors.ts';

/**
 * Client errors that pass: timeout, too early, too many requests (RFC 9110 15.5.9, RFC 8470 5.2,
 * RFC 6585 4).
 */
const PASSING = new Set([408, 425, 429]);

/**
 * Whether asking again with the same credential cannot help: a client error that does not pass. 499
 * is our own "cancelled".
 */
export function isFinal(error: WireError): boolean {
  const status = error.status ?? 500;
  return status >= 400 && status < 499 && !PASSING.has(status);
}

/**
 * The pause an origin asks for (RFC 9110 10.2.3, the form in seconds), in ms; null when it asks for
 * none.
 */
export function retryAfterMs(error: WireError): number | null {
  const text = error.headers?.['retry-after'];
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : null;
}
