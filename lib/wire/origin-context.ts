import { ORIGIN_BYTES_MAX } from './limits.ts';
import { parseObject } from './fields.ts';

/**
 * A way to the origin of a blob: its URL, and the credential of the client that asked for it. It
 * crosses the wire sealed, and only to owners and roots, which may have to read the origin.
 */
export interface OriginContext {
  url: string;
  upstreamHost: string;
  authorization: string | null;
  /** The media types to ask the registry for, for a manifest. */
  accept?: string;
}

export function formatOrigin(origin: OriginContext): string {
  return JSON.stringify(origin);
}

/** The way to the origin in an opened seal, or null when there is none. */
export function parseOrigin(text: string): OriginContext | null {
  const { url, upstreamHost, authorization = null, accept = null } = parseObject(text) ?? {};
  if (
    typeof url !== 'string' ||
    typeof upstreamHost !== 'string' ||
    (authorization !== null && typeof authorization !== 'string') ||
    (accept !== null && typeof accept !== 'string')
  )
    return null;
  return { url, upstreamHost, authorization, ...(accept === null ? {} : { accept }) };
}

/** Whether a way to the origin can be sealed for another node; a longer one is refused at the proxy. */
export function fitsSealed(origin: OriginContext): boolean {
  const { url, authorization, accept = '' } = origin;
  // Most are far from the bound; only JSON tells how long the rest are.
  const isShort =
    (url.length + (authorization?.length ?? 0) + accept.length) * 6 < ORIGIN_BYTES_MAX;
  return isShort || Buffer.byteLength(formatOrigin(origin)) <= ORIGIN_BYTES_MAX;
}
