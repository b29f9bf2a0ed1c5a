import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

/** Codings of one body: a proxy adds one. Each costs a decoding of up to `bytesMax`. */
const CODINGS_MAX = 3;

type Decoder = (coded: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

/** Codings that change a body (RFC 9110, 8.4.1, and the IANA registry). */
const DECODERS: Record<string, Decoder | null> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
  compress: null,
  'x-compress': null,
};

/**
 * The codings of a body in the order in which they were applied (RFC 9110, 8.4). Tokens that are no
 * coding (`identity`, `aws-chunked`, `utf-8`, ...) are ignored: object stores keep them as
 * metadata.
 */
export function codingsOf(contentEncoding: string | undefined): string[] {
  return (contentEncoding ?? '')
    .split(',')
    .map((token) => token.trim().toLowerCase())
    .filter((token) => Object.hasOwn(DECODERS, token));
}

/**
 * The body without its codings, in a buffer of its own; null where it cannot be decoded, has more
 * than CODINGS_MAX codings, or is longer than `bytesMax`.
 *
 * Decodes at once, on the thread of the exchange: 64 MiB take 0.1 to 0.4 s. Only servers that code
 * a body although no coding was asked for cause this.
 */
export function decoded(
  coded: Uint8Array,
  codings: readonly string[],
  bytesMax: number,
): Uint8Array | null {
  if (codings.length > CODINGS_MAX) return null;
  try {
    return codings.reduceRight<Uint8Array | null>((body, coding) => {
      const decode = DECODERS[coding];
      return body === null || !decode ? null : decode(body, { maxOutputLength: bytesMax });
    }, coded);
  } catch {
    return null;
  }
}
