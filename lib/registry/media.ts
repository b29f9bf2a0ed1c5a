/**
 * The forms of a manifest that runtimes ask for (image-spec 1.1, "Media Types"; docker's schema 2).
 */
export const CURRENT_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const SCHEMA1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;

/** Whether an Accept header admits a media type (RFC 9110 12.5.1); none admits everything. */
export function admits(accept: string | undefined, contentType: string): boolean {
  const type = bareType(contentType);
  return (
    (accept ?? '').trim() === '' ||
    rangesOf(accept).some(
      (range) =>
        range === type ||
        range === '*/*' ||
        (range.endsWith('/*') && type.startsWith(range.slice(0, -1))),
    )
  );
}

/**
 * Whether an Accept header names every current form of a manifest. Toward a client that does not, a
 * registry may convert or choose for it, and its answer is not what the tag stands for in general.
 */
export function namesEveryForm(accept: string | undefined): boolean {
  const ranges = new Set(rangesOf(accept));
  return CURRENT_TYPES.every((type) => ranges.has(type));
}

/**
 * Whether an answer to a request for a manifest is of docker's schema 1, by its type or, where that
 * says nothing, by itself.
 */
export function isSchema1(contentType: string | undefined, body: Uint8Array): boolean {
  const type = bareType(contentType ?? '');
  if (SCHEMA1.test(type)) return true;
  return (
    (type === 'application/json' || type === '') &&
    /^\s*\{[^]*"schemaVersion"\s*:\s*1\s*[,}]/.test(
      new TextDecoder().decode(body.subarray(0, 4_096)),
    )
  );
}

/**
 * Whether `text` may stand as a Content-Type (RFC 6838 4.2; parameters allowed, nothing that ends a
 * header).
 */
export function isMediaType(text: string): boolean {
  return (
    text.length <= 256 &&
    /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*(\s*;[\x20-\x7e]*)?$/i.test(text)
  );
}

/** A Content-Type without its parameters, in lower case. */
export function bareType(contentType: string): string {
  return contentType.split(';')[0]!.trim().toLowerCase();
}

/** The media ranges of an Accept header that are not refused by `q=0`, without their parameters. */
function rangesOf(accept: string | undefined): string[] {
  return (accept ?? '').split(',').flatMap((part) => {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    return range === '' || parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter))
      ? []
      : [range];
  });
}
