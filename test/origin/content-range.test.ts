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
    ['no Content-Range', { 'content-length': '10' }, asked(0, 10)],
    ['a Content-Range that is none', { 'content-range': 'bytes=0-9/100' }, asked(0, 10)],
    ['no size, none known', { 'content-range': 'bytes 0-9/*' }, asked(0, 10)],
    ['another start', { 'content-range': 'bytes 1-9/100' }, asked(0, 10)],
    ['an earlier end', { 'content-range': 'bytes 0-8/100' }, asked(0, 10)],
    ['a later end', { 'content-range': 'bytes 0-10/100' }, asked(0, 10)],
    ['another size', { 'content-range': 'bytes 0-9/101' }, asked(0, 10, 100)],
    [
      'a length that contradicts',
      { 'content-range': 'bytes 0-9/100', 'content-length': '9' },
      asked(0, 10),
    ],
  ];
  for (const [what, headers, range] of wrong)
    it(`refuses a 206 with ${what}`, () =>
      assert.equal(code(206, headers, range), 'ORIGIN_BROKEN'));

  it('uses the start of a whole object, and skips a shard of it at most', () => {
    assert.deepEqual(judgeRangeAnswer(200, { 'content-length': '100' }, asked(0, 10)), {
      kind: 'use',
      totalBytes: 100,
      skipBytes: 0,
      lengthBytes: 10,
      bodyBytes: 100,
    });
    const big = String(10 * SHARD_BYTES);
    assert.deepEqual(
      judgeRangeAnswer(200, { 'content-length': big }, asked(SHARD_BYTES, 2 * SHARD_BYTES)),
      {
        kind: 'use',
        totalBytes: 10 * SHARD_BYTES,
        skipBytes: SHARD_BYTES,
        lengthBytes: SHARD_BYTES,
        bodyBytes: 10 * SHARD_BYTES,
      },
    );
    assert.equal(
      code(200, { 'content-length': big }, asked(2 * SHARD_BYTES, 3 * SHARD_BYTES)),
      'ORIGIN_BROKEN',
    );
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

  it('reads a whole object of unknown length from its start only', () => {
    assert.deepEqual(judgeRangeAnswer(200, {}, asked(0, 10)), { kind: 'unsized' });
    assert.equal(code(200, {}, asked(5, 10)), 'ORIGIN_BROKEN');
  });

  it('tells the size with a 416, and takes an empty object for whole', () => {
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
    assert.deepEqual(judgeRangeAnswer(416, { 'content-range': 'bytes */0' }, asked(0, 10)), {
      kind: 'use',
      totalBytes: 0,
      skipBytes: 0,
      lengthBytes: 0,
      bodyBytes: 0,
    });
  });
});
