import { CREDENTIAL_HOLD_BEFORE_MS, CREDENTIAL_HOLD_MS } from './limits.ts';

/**
 * The wall time in ms at which to request the rest of an object in one request, because the
 * credential may expire; Infinity if it does not. `firstUsedMs`: the wall time of its first use. A
 * client cannot renew a token during one GET, and a direct pull is not affected by its expiry.
 *
 * Sources: JWT `exp` (RFC 7519, 4.1.4); signed URLs: `Expires` (S3 v2, OSS, GCS v2: Unix time),
 * `X-Amz-Date` + `X-Amz-Expires` (and the Goog forms), `se` (Azure SAS).
 */
export function holdAtMs(
  target: { url: string; authorization: string | null },
  firstUsedMs: number,
): number {
  const endsMs = [bearerEnd(target.authorization), urlEnd(target.url)].filter(
    (end) => end !== null,
  );
  if (endsMs.length > 0) return Math.min(...endsMs) - CREDENTIAL_HOLD_BEFORE_MS;
  const isOpaque = /^bearer /i.test(target.authorization ?? '');
  return isOpaque ? firstUsedMs + CREDENTIAL_HOLD_MS : Infinity;
}

/**
 * The wall time in ms at which a bearer token expires; null if it is not a JWT or has no expiry.
 */
function bearerEnd(authorization: string | null): number | null {
  const [, claims] = /^bearer +[\w-]+\.([\w-]+)\.[\w-]*$/i.exec(authorization ?? '') ?? [];
  if (claims === undefined) return null;
  try {
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { exp?: unknown };
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}

/** The wall time in ms at which a signed URL expires; null if it is not signed or has no expiry. */
function urlEnd(url: string): number | null {
  const query = new URLSearchParams(url.split('?', 2)[1] ?? '');
  const named = new Map([...query].map(([name, value]) => [name.toLowerCase(), value]));
  const unixSeconds = Number(named.get('expires') ?? Number.NaN);
  if (Number.isFinite(unixSeconds) && unixSeconds > 1e9) return unixSeconds * 1000;
  for (const vendor of ['x-amz', 'x-goog']) {
    const date = compactDate(named.get(`${vendor}-date`));
    const seconds = Number(named.get(`${vendor}-expires`) ?? Number.NaN);
    if (date !== null && Number.isFinite(seconds)) return date + seconds * 1000;
  }
  const azure = URL.canParse(url) ? Date.parse(named.get('se') ?? '') : Number.NaN;
  return Number.isNaN(azure) ? null : azure;
}

/** `20260131T120000Z` as wall time in ms. */
function compactDate(text: string | undefined): number | null {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (parts === null) return null;
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
}
