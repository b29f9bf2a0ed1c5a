import type { OriginTarget } from '../origin-target.ts';
import { ORIGIN_BYTES_MAX } from './limits.ts';
import { parseObject } from './fields.ts';

export function formatOrigin(origin: OriginTarget): string {
  return JSON.stringify(origin);
}

/** The origin in an opened seal, or null if there is none. */
export function parseOrigin(text: string): OriginTarget | null {
  const fields = parseObject(text) ?? {};
  const { url, upstreamHost, authorization = null, accept = null, saidBytes = null } = fields;
  if (
    typeof url !== 'string' ||
    typeof upstreamHost !== 'string' ||
    (authorization !== null && typeof authorization !== 'string') ||
    (accept !== null && typeof accept !== 'string') ||
    (saidBytes !== null && !isSize(saidBytes))
  )
    return null;
  return {
    url,
    upstreamHost,
    authorization,
    ...(accept === null ? {} : { accept }),
    ...(saidBytes === null ? {} : { saidBytes }),
  };
}

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

/** Whether an origin can be sealed for another node; the proxy refuses longer ones. */
export function fitsSealed(origin: OriginTarget): boolean {
  const { url, authorization, accept = '' } = origin;
  // Most are far below the bound; only the others are measured exactly.
  const isShort =
    (url.length + (authorization?.length ?? 0) + accept.length) * 6 < ORIGIN_BYTES_MAX;
  return isShort || Buffer.byteLength(formatOrigin(origin)) <= ORIGIN_BYTES_MAX;
}
