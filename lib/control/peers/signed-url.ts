/**
 * The wall time in ms at which a signed URL expires; null if it is not signed or has no expiry.
 *
 * Sources: `Expires` (S3 v2, OSS, GCS v2, CloudFront: Unix time), `X-Amz-Date` + `X-Amz-Expires`
 * (and the Goog forms), `se` (Azure SAS).
 */
export function signedUntilMs(url: string): number | null {
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
