import { ShoalError } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import { parseContentRange } from '../registry/range.ts';

/**
 * Header names in lower case. Several headers of one name are joined with commas (RFC 9110, 5.2),
 * challenges with line breaks.
 */
export type OriginHeaders = Readonly<Record<string, string | undefined>>;

/**
 * The bytes [offsetBytes, endBytes) that were asked for, and the object's size where it is known.
 */
export interface AskedRange {
  offsetBytes: number;
  endBytes: number;
  totalBytes: number | null;
}

/** What to do with the body of an answer to a ranged request. */
type RangeVerdict =
  /** Skip `skipBytes`, then take `lengthBytes`; the body is `bodyBytes` long (null: to its end). */
  | {
      kind: 'use';
      totalBytes: number;
      skipBytes: number;
      lengthBytes: number;
      bodyBytes: number | null;
    }
  /** The body runs from `startBytes` to the object's end; `totalBytes` null: size unknown. */
  | { kind: 'whole'; startBytes: number; totalBytes: number | null }
  /** The range ran past the end: ask again within `totalBytes`. */
  | { kind: 'again'; totalBytes: number }
  /** The answer to a Range is unusable; the object may still be read without one. */
  | { kind: 'plain' };

/**
 * The range to ask for. It never runs past the end where the size is known: OSS answers such a
 * range
 * with 200 and the whole object.
 */
export function clampRange(want: {
  offsetBytes: number;
  lengthBytes: number;
  totalBytes: number | null;
}): AskedRange {
  const endBytes = want.offsetBytes + want.lengthBytes;
  return {
    offsetBytes: want.offsetBytes,
    endBytes: want.totalBytes === null ? endBytes : Math.min(endBytes, want.totalBytes),
    totalBytes: want.totalBytes,
  };
}

/**
 * Judges a 200, 204, 206 or 416 to a request for a range, or for the whole (RFC 9110, 14 and
 * 15.3.7). The size and the digest of an object decide, not the form of an answer: every answer
 * that says which bytes it holds is used. `saidBytes` is the size where nothing else tells it.
 * @throws ShoalError RANGE_NOT_SATISFIABLE with the size in `content-range`, ORIGIN_BROKEN
 */
export function judgeRangeAnswer(
  status: 200 | 204 | 206 | 416,
  headers: OriginHeaders,
  asked: AskedRange,
  saidBytes: number | null = null,
): RangeVerdict {
  switch (status) {
    case 206:
      return judgePartial(headers, asked, saidBytes);
    case 200:
      return judgeWhole(headers, asked, saidBytes);
    case 204:
      return asked.offsetBytes === 0 ? EMPTY : { kind: 'plain' };
    default:
      return judgeUnsatisfiable(headers, asked);
  }
}

/** RANGE_NOT_SATISFIABLE, with the object's size where it is known. */
export function notSatisfiable(totalBytes: number | null): ShoalError {
  return new ShoalError(
    'RANGE_NOT_SATISFIABLE',
    'the range lies outside the object',
    totalBytes === null ? {} : { headers: { 'content-range': `bytes */${totalBytes}` } },
  );
}

const EMPTY: RangeVerdict = {
  kind: 'use',
  totalBytes: 0,
  skipBytes: 0,
  lengthBytes: 0,
  bodyBytes: 0,
};

function judgePartial(
  headers: OriginHeaders,
  asked: AskedRange,
  saidBytes: number | null,
): RangeVerdict {
  const declared = contentLength(headers);
  if (declared === 0 && asked.offsetBytes === 0) return EMPTY;
  const range = parseContentRange(headers['content-range']);
  const part =
    range !== null && range.startBytes !== null && range.endBytes !== null
      ? { startBytes: range.startBytes, endBytes: range.endBytes }
      : // Without a usable Content-Range the length alone can tell that it is the part asked for.
        declared !== null && declared === asked.endBytes - asked.offsetBytes
        ? { startBytes: asked.offsetBytes, endBytes: asked.endBytes }
        : null;
  const totalBytes = range?.totalBytes ?? asked.totalBytes ?? saidBytes;
  if (part === null || totalBytes === null) return { kind: 'plain' };
  assertSameSize(totalBytes, asked);
  const skipBytes = asked.offsetBytes - part.startBytes;
  const partBytes = part.endBytes - part.startBytes;
  // A head that contradicts itself, or is about other bytes: the whole object may be good.
  if (skipBytes < 0 || skipBytes > SHARD_BYTES || skipBytes >= partBytes) return { kind: 'plain' };
  if (declared !== null && declared !== partBytes) return { kind: 'plain' };
  // A part may be shorter than asked for (RFC 9110, 15.3.7); the rest is asked for afterwards.
  const endBytes = Math.min(asked.endBytes, totalBytes, part.endBytes);
  const lengthBytes = endBytes - asked.offsetBytes;
  return { kind: 'use', totalBytes, skipBytes, lengthBytes, bodyBytes: partBytes };
}

function judgeWhole(
  headers: OriginHeaders,
  asked: AskedRange,
  saidBytes: number | null,
): RangeVerdict {
  const totalBytes = contentLength(headers) ?? asked.totalBytes ?? saidBytes;
  if (totalBytes === null) return { kind: 'whole', startBytes: 0, totalBytes };
  assertSameSize(totalBytes, asked);
  if (asked.offsetBytes > 0 && asked.offsetBytes >= totalBytes) throw notSatisfiable(totalBytes);
  if (asked.offsetBytes > 0 && asked.endBytes > totalBytes) return { kind: 'again', totalBytes };
  const isAll = asked.offsetBytes === 0 && totalBytes <= asked.endBytes;
  return isAll
    ? { kind: 'use', totalBytes, skipBytes: 0, lengthBytes: totalBytes, bodyBytes: totalBytes }
    : { kind: 'whole', startBytes: 0, totalBytes };
}

function judgeUnsatisfiable(headers: OriginHeaders, asked: AskedRange): RangeVerdict {
  const range = parseContentRange(headers['content-range']);
  const totalBytes = range?.startBytes === null ? range.totalBytes : null;
  // No range lies within an empty object. It is still readable as a whole.
  if (totalBytes === 0 && asked.offsetBytes === 0) return EMPTY;
  // A range within a known size, or from the first byte, is satisfiable: the server does not
  // support ranges, or the object is empty and the server does not say so.
  if (totalBytes === null && (asked.offsetBytes === 0 || asked.totalBytes !== null))
    return { kind: 'plain' };
  throw notSatisfiable(totalBytes);
}

function assertSameSize(totalBytes: number, asked: AskedRange): void {
  if (asked.totalBytes !== null && totalBytes !== asked.totalBytes)
    throw broken(`an object of ${totalBytes} bytes that had ${asked.totalBytes}`);
}

/** Content-Length, or null when there is none. */
function contentLength(headers: OriginHeaders): number | null {
  const text = headers['content-length'];
  if (text === undefined) return null;
  // Equal values count as one (RFC 9110, 8.6).
  const values = new Set(text.split(',').map((value) => value.trim()));
  const [value = ''] = values;
  if (values.size > 1 || !/^\d{1,15}$/.test(value))
    throw broken('a Content-Length that is not a number');
  return Number(value);
}

function broken(what: string): ShoalError {
  return new ShoalError('ORIGIN_BROKEN', `the origin sent ${what}`);
}
