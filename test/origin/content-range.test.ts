import assert from 'node:assert/strict';
import { ShoalError } from '../../lib/errors.ts';
import { SHARD_BYTES } from '../../lib/limits.ts';
import {
  clampRange,
  judgeRangeAnswer,
  type AskedRange,
  type OriginHeaders,
} from '../../lib/origin/content-range.ts';

const asked = (
  offsetBytes: number,
  endBytes: number,
  totalBytes: number | null = null,
): AskedRange => ({ offsetBytes, endBytes, totalBytes });
const code = (status: 200 | 206 | 416, headers: OriginHeaders, range: AskedRange): string => {
  try {
    judgeRangeAnswer(status, headers, range);
    return 'accepted';
  } catch (thrown) {
    return ShoalError.from(thrown).code;
  }
};

describe('registry/origin-range', () => {
  it('never asks past an end it knows', () => {
    assert.deepEqual(
      clampRange({ offsetBytes: 90, lengthBytes: 20, totalBytes: 100 }),
      asked(90, 100, 100),
    );
    assert.deepEqual(
      clampRange({ offsetBytes: 90, lengthBytes: 20, totalBytes: null }),
      asked(90, 110),
    );
  });

  it('takes a 206 that is exactly what was asked for', () => {
    const use = { kind: 'use', totalBytes: 100, skipBytes: 0, lengthBytes: 10, bodyBytes: 10 };
    assert.deepEqual(
      judgeRangeAnswer(
        206,
        { 'content-range': 'bytes 90-99/100', 'content-length': '10' },
        asked(90, 110),
      ),
      use,
    );
    assert.deepEqual(
      judgeRangeAnswer(206, { 'content-range': 'bytes 90-99/*' }, asked(90, 100, 100)),
      use,
    );
  });

  const wrong: [string, OriginHeaders, AskedRange][] = [
    ['another size', { 'content-range': 'bytes 0-9/101' }, asked(0, 10, 100)],
  ];
  for (const [what, headers, range] of wrong)
    it(`refuses a 206 with ${what}`, () =>
      assert.equal(code(206, headers, range), 'ORIGIN_BROKEN'));

  const unclear: [string, OriginHeaders, AskedRange][] = [
    ['a later start', { 'content-range': 'bytes 1-9/100' }, asked(0, 10)],
    ['bytes before the range only', { 'content-range': 'bytes 0-9/100' }, asked(10, 20)],
    [
      'a length that contradicts',
      { 'content-range': 'bytes 0-9/100', 'content-length': '9' },
      asked(0, 10),
    ],
    ['no Content-Range, size unknown', { 'content-length': '10' }, asked(0, 10)],
    ['no Content-Range and no length', {}, asked(0, 10, 100)],
    ['an unreadable Content-Range', { 'content-range': 'bytes 0-x/100' }, asked(0, 10)],
    ['no size, size unknown', { 'content-range': 'bytes 0-9/*' }, asked(0, 10)],
  ];
  for (const [what, headers, range] of unclear)
    it(`asks without Range after a 206 with ${what}`, () =>
      assert.deepEqual(judgeRangeAnswer(206, headers, range), { kind: 'plain' }));

  const part = (skipBytes: number, lengthBytes: number, bodyBytes: number) => ({
    kind: 'use',
    totalBytes: 100,
    skipBytes,
    lengthBytes,
    bodyBytes,
  });
  const odd: [string, OriginHeaders, AskedRange, ReturnType<typeof part>][] = [
    ['an earlier end', { 'content-range': 'bytes 0-8/100' }, asked(0, 10), part(0, 9, 9)],
    ['a later end', { 'content-range': 'bytes 0-10/100' }, asked(0, 10), part(0, 10, 11)],
    ['an earlier start', { 'content-range': 'bytes 5-19/100' }, asked(10, 20), part(5, 10, 15)],
    ['= for a blank', { 'content-range': 'bytes=0-9/100' }, asked(0, 10), part(0, 10, 10)],
    ['no unit', { 'content-range': '0-9/100' }, asked(0, 10), part(0, 10, 10)],
    ['blanks', { 'content-range': 'bytes 0 - 9 / 100' }, asked(0, 10), part(0, 10, 10)],
    ['only a length', { 'content-length': '10' }, asked(0, 10, 100), part(0, 10, 10)],
    ['no size, size known', { 'content-range': 'bytes 0-9/*' }, asked(0, 10, 100), part(0, 10, 10)],
  ];
  for (const [what, headers, range, verdict] of odd)
    it(`takes a 206 with ${what}`, () =>
      assert.deepEqual(judgeRangeAnswer(206, headers, range), verdict));

  const empty = part(0, 0, 0);
  const empties: [200 | 204 | 206 | 416, OriginHeaders][] = [
    [200, { 'content-length': '0' }],
    [204, {}],
    [206, { 'content-length': '0', 'content-range': 'bytes 0--1/0' }],
    [206, { 'content-length': '0' }],
    [416, { 'content-range': 'bytes */0' }],
  ];
  for (const [status, headers] of empties)
    it(`takes ${status} with ${JSON.stringify(headers)} for an empty object`, () =>
      assert.deepEqual(judgeRangeAnswer(status, headers, asked(0, 10)), {
        ...empty,
        totalBytes: 0,
      }));

  it('takes a whole object where a part was asked for', () => {
    assert.deepEqual(judgeRangeAnswer(200, { 'content-length': '100' }, asked(0, 10)), {
      kind: 'whole',
      startBytes: 0,
      totalBytes: 100,
    });
    const big = 10 * SHARD_BYTES;
    assert.deepEqual(
      judgeRangeAnswer(
        200,
        { 'content-length': String(big) },
        asked(5 * SHARD_BYTES, 6 * SHARD_BYTES),
      ),
      { kind: 'whole', startBytes: 0, totalBytes: big },
    );
    assert.deepEqual(judgeRangeAnswer(200, { 'content-length': '100' }, asked(0, 200)), {
      ...part(0, 100, 100),
    });
  });

  it('takes a whole object of unknown length', () => {
    assert.deepEqual(judgeRangeAnswer(200, {}, asked(5, 10)), {
      kind: 'whole',
      startBytes: 0,
      totalBytes: null,
    });
  });

  it('asks again when the range ran past the end of a whole object', () => {
    assert.deepEqual(judgeRangeAnswer(200, { 'content-length': '100' }, asked(90, 110)), {
      kind: 'again',
      totalBytes: 100,
    });
    assert.equal(code(200, { 'content-length': '100' }, asked(100, 110)), 'RANGE_NOT_SATISFIABLE');
    assert.equal(code(200, { 'content-length': '99' }, asked(90, 100, 100)), 'ORIGIN_BROKEN');
    assert.equal(code(200, { 'content-length': 'many' }, asked(0, 10)), 'ORIGIN_BROKEN');
  });

  it('tells the size with a 416, and asks without Range when a valid range is refused', () => {
    assert.throws(
      () => judgeRangeAnswer(416, { 'content-range': 'bytes */100' }, asked(100, 110)),
      (error: ShoalError) =>
        error.code === 'RANGE_NOT_SATISFIABLE' && error.headers['content-range'] === 'bytes */100',
    );
    assert.throws(
      () => judgeRangeAnswer(416, {}, asked(100, 110)),
      (error: ShoalError) =>
        error.code === 'RANGE_NOT_SATISFIABLE' && Object.keys(error.headers).length === 0,
    );
    for (const range of [asked(0, 10), asked(10, 20, 100)])
      assert.deepEqual(judgeRangeAnswer(416, {}, range), { kind: 'plain' });
  });
});
