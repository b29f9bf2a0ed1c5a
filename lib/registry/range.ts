/** What a Range header asks for, before the size is known. */
export type ParsedRange =
  | { kind: 'whole' }
  /**
   * From `startBytes` to `endBytes` (inclusive, as on the wire), or to the end when that is
   * missing.
   */
  | { kind: 'from'; startBytes: number; endBytes?: number }
  /** The last `lengthBytes`. */
  | { kind: 'suffix'; lengthBytes: number };

/** The bytes [startBytes, endBytes) of an answer and its status; nothing at 416. */
export interface Span {
  status: 200 | 206 | 416;
  startBytes: number;
  endBytes: number;
  /** The Content-Range header, at 206 and 416. */
  contentRange?: string;
}

const PREFIX = 'bytes=';
const WHOLE: ParsedRange = { kind: 'whole' };
const CONTENT_RANGE =
  /^(?:bytes)?[ \t]*[=:]?[ \t]*(?:(\d+)[ \t]*-[ \t]*(\d+)|\*)[ \t]*\/[ \t]*(\d+|\*)$/i;
const SINGLE = /^bytes[ \t]*=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/i;

/**
 * Reads a Range header (RFC 9110, 14.1.2 and 14.2). Several ranges, other units and what is
 * malformed mean the whole: a server may ignore the header, and must when it is not valid.
 */
export function parseRange(header: string | undefined): ParsedRange {
  if (header === undefined || header === '') return WHOLE;
  const plain = plainRange(header);
  if (plain !== null) return plain;
  const parts = SINGLE.exec(header);
  if (parts === null) return WHOLE;
  const [, first, last, suffix] = parts;
  if (suffix !== undefined) return { kind: 'suffix', lengthBytes: exact(suffix) };
  const startBytes = exact(first!);
  if (last === undefined || last === '') return { kind: 'from', startBytes };
  // Compared as they are written: beyond 2^53, numbers that differ may become equal.
  return BigInt(last) < BigInt(first!)
    ? WHOLE
    : { kind: 'from', startBytes, endBytes: exact(last) };
}

/** Whether a range covers at most `bytes`, whatever the size is. */
export function isAtMost(range: ParsedRange, bytes: number): boolean {
  return (
    range.kind === 'from' &&
    range.endBytes !== undefined &&
    range.endBytes - range.startBytes <= bytes
  );
}

/**
 * Reads `bytes=a-b`, the form of nearly every read, at a tenth of what the expression costs; null:
 * not of that form.
 */
function plainRange(header: string): ParsedRange | null {
  const dash = header.indexOf('-', PREFIX.length);
  if (!header.startsWith(PREFIX) || dash < 0) return null;
  const startBytes = plainNumber(header, PREFIX.length, dash);
  const endBytes = plainNumber(header, dash + 1, header.length);
  return startBytes < 0 || endBytes < startBytes ? null : { kind: 'from', startBytes, endBytes };
}

/**
 * The decimal number at [from, to) of `text`, of 1 to 15 digits (exact in a double); -1: not one.
 */
function plainNumber(text: string, from: number, to: number): number {
  if (to === from || to - from > 15) return -1;
  let number = 0;
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}

/** The answer to `range` for an object of `sizeBytes` (RFC 9110, 14.4 and 15.5.17). */
export function resolveRange(range: ParsedRange, sizeBytes: number): Span {
  if (range.kind === 'whole') return { status: 200, startBytes: 0, endBytes: sizeBytes };
  const startBytes =
    range.kind === 'suffix' ? Math.max(0, sizeBytes - range.lengthBytes) : range.startBytes;
  const unsatisfiable =
    startBytes >= sizeBytes || (range.kind === 'suffix' && range.lengthBytes === 0);
  if (unsatisfiable)
    return { status: 416, startBytes: 0, endBytes: 0, contentRange: `bytes */${sizeBytes}` };
  const asked =
    range.kind === 'suffix' || range.endBytes === undefined ? sizeBytes : range.endBytes + 1;
  const endBytes = Math.min(asked, sizeBytes);
  return {
    status: 206,
    startBytes,
    endBytes,
    contentRange: `bytes ${startBytes}-${endBytes - 1}/${sizeBytes}`,
  };
}

/**
 * Whether a Range may be followed given an If-Range header (RFC 9110, 13.1.5): there is none, or it
 * is exactly the strong entity tag of what would be sent. Weak tags and dates never match: blobs
 * carry no date.
 */
export function ifRangeHolds(header: string | undefined, etag: string | null): boolean {
  return header === undefined || header === '' || (etag !== null && header.trim() === etag);
}

/**
 * Whether an If-None-Match header (RFC 9110, 13.1.2) names the entity tag of what would be sent, so
 * that the answer is 304. The comparison is weak: `W/` does not matter.
 */
export function noneMatchFails(header: string | undefined, etag: string | null): boolean {
  if (header === undefined || header === '' || etag === null) return false;
  return header
    .split(',')
    .map((tag) => tag.trim())
    .some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag);
}

/**
 * What a Content-Range of a 206 or 416 says (RFC 9110, 14.4); `*` as null. Unambiguous variants are
 * taken too: `bytes=0-9/10`, `bytes: 0-9/10`, no unit, blanks around the numbers. Null when it says
 * no range and no size, or an impossible one.
 */
export function parseContentRange(
  header: string | undefined,
): { startBytes: number | null; endBytes: number | null; totalBytes: number | null } | null {
  const parts = CONTENT_RANGE.exec(header?.trim() ?? '');
  if (parts === null) return null;
  const [, first, last, total] = parts;
  const totalBytes = total === '*' ? null : Number(total);
  if (totalBytes !== null && !Number.isSafeInteger(totalBytes)) return null;
  if (first === undefined || last === undefined)
    return totalBytes === null ? null : { startBytes: null, endBytes: null, totalBytes };
  const [startBytes, endBytes] = [Number(first), Number(last) + 1];
  const valid =
    endBytes > startBytes &&
    (totalBytes === null || endBytes <= totalBytes) &&
    Number.isSafeInteger(endBytes);
  return valid ? { startBytes, endBytes, totalBytes } : null;
}

/** A position past 2^53 is past the end of every object. Clamped there, sums with it stay exact. */
function exact(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER - 1);
}
