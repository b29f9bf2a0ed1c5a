import { CREDENTIAL_HOLD_BEFORE_MS, CREDENTIAL_HOLD_MS } from './limits.ts';

/**
 * The wall time in ms at which the rest of an object should be asked for in one request, because
 * the right to ask again may end; Infinity when it does not end. `firstUsedMs`: the wall time at
 * which it was first used. A client cannot renew a token within one GET, and a direct pull does not
 * notice its end.
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

/** The wall time in ms at which a bearer token that is a JWT ends; null when it does not say. */
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

/** The wall time in ms at which a signed URL ends; null when it is not signed or does not say. */
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
