import { ShoalError } from '../errors.ts';
import { SHARD_BYTES } from '../limits.ts';
import { parseContentRange } from '../registry/range.ts';

/**
 * Header names in lower case; several of one name joined as they may be (RFC 9110, 5.2), challenges
 * by line breaks.
 */
export type OriginHeaders = Readonly<Record<string, string | undefined>>;

/**
 * The bytes [offsetBytes, endBytes) that were asked for, and the object's size as far as it is
 * known.
 */
export interface AskedRange {
  offsetBytes: number;
  endBytes: number;
  totalBytes: number | null;
}

/** What to do with the body of an answer to a ranged request. */
export type RangeVerdict =
  /** Leave out `skipBytes`, then take `lengthBytes`; the body is `bodyBytes` long. */
  | { kind: 'use'; totalBytes: number; skipBytes: number; lengthBytes: number; bodyBytes: number }
  /** The whole object from its start, of a size only its end will show. */
  | { kind: 'unsized' }
  /** Nothing of it: the range ran past the end. Ask again within `totalBytes`. */
  | { kind: 'again'; totalBytes: number };

/**
 * The range to ask for: never past the end where that is known, since OSS answers such a range with
 * 200 and everything.
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
 * Judges a 200, 206 or 416 to a ranged request (RFC 9110, 14 and 15.3.7; OSS: 200 with the whole
 * object when the range runs past its end).
 * @throws ShoalError RANGE_NOT_SATISFIABLE with the size in `content-range`, ORIGIN_BROKEN
 */
export function judgeRangeAnswer(
  status: 200 | 206 | 416,
  headers: OriginHeaders,
  asked: AskedRange,
): RangeVerdict {
  switch (status) {
    case 206:
      return judgePartial(headers, asked);
    case 200:
      return judgeWhole(headers, asked);
    default:
      return judgeUnsatisfiable(headers, asked);
  }
}

/** RANGE_NOT_SATISFIABLE, saying the object's size where it is known. */
export function notSatisfiable(totalBytes: number | null): ShoalError {
  return new ShoalError(
    'RANGE_NOT_SATISFIABLE',
    'the range lies outside the object',
    totalBytes === null ? {} : { headers: { 'content-range': `bytes */${totalBytes}` } },
  );
}

function judgePartial(headers: OriginHeaders, asked: AskedRange): RangeVerdict {
  const range = parseContentRange(headers['content-range']);
  if (range === null || range.startBytes === null || range.endBytes === null)
    throw broken('a partial answer without a valid Content-Range');
  const totalBytes = range.totalBytes ?? asked.totalBytes;
  if (totalBytes === null)
    throw broken('a partial answer that does not say how long the object is');
  assertSameSize(totalBytes, asked);
  const endBytes = Math.min(asked.endBytes, totalBytes);
  if (range.startBytes !== asked.offsetBytes || range.endBytes !== endBytes) {
    throw broken(
      `bytes ${range.startBytes}-${range.endBytes - 1} of ${totalBytes} were sent for ${asked.offsetBytes}-${endBytes - 1}`,
    );
  }
  const lengthBytes = endBytes - asked.offsetBytes;
  const declared = contentLength(headers);
  if (declared !== null && declared !== lengthBytes)
    throw broken(`Content-Length ${declared} with a Content-Range of ${lengthBytes} bytes`);
  return { kind: 'use', totalBytes, skipBytes: 0, lengthBytes, bodyBytes: lengthBytes };
}

function judgeWhole(headers: OriginHeaders, asked: AskedRange): RangeVerdict {
  const totalBytes = contentLength(headers) ?? asked.totalBytes;
  if (totalBytes === null) {
    if (asked.offsetBytes === 0) return { kind: 'unsized' };
    throw broken('a whole object of unknown length where a part was asked for');
  }
  assertSameSize(totalBytes, asked);
  if (asked.offsetBytes > 0 && asked.offsetBytes >= totalBytes) throw notSatisfiable(totalBytes);
  const endBytes = Math.min(asked.endBytes, totalBytes);
  if (asked.offsetBytes > 0 && asked.endBytes > totalBytes) return { kind: 'again', totalBytes };
  if (asked.offsetBytes > SHARD_BYTES)
    throw broken('the server does not serve ranges, and the part wanted is too far from the start');
  return {
    kind: 'use',
    totalBytes,
    skipBytes: asked.offsetBytes,
    lengthBytes: endBytes - asked.offsetBytes,
    bodyBytes: totalBytes,
  };
}

function judgeUnsatisfiable(headers: OriginHeaders, asked: AskedRange): RangeVerdict {
  const range = parseContentRange(headers['content-range']);
  const totalBytes = range?.startBytes === null ? range.totalBytes : null;
  // No range lies within an empty object; it is whole all the same.
  if (totalBytes === 0 && asked.offsetBytes === 0)
    return { kind: 'use', totalBytes: 0, skipBytes: 0, lengthBytes: 0, bodyBytes: 0 };
  throw notSatisfiable(totalBytes);
}

function assertSameSize(totalBytes: number, asked: AskedRange): void {
  if (asked.totalBytes !== null && totalBytes !== asked.totalBytes)
    throw broken(`the object is ${totalBytes} bytes long, and was ${asked.totalBytes}`);
}

/** Content-Length, or null when there is none. */
function contentLength(headers: OriginHeaders): number | null {
  const text = headers['content-length'];
  if (text === undefined) return null;
  if (!/^\d{1,15}$/.test(text)) throw broken('a Content-Length that is no number');
  return Number(text);
}

function broken(what: string): ShoalError {
  return new ShoalError('ORIGIN_BROKEN', `the origin sent ${what}`);
}
