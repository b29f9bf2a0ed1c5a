import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  ifRangeHolds,
  noneMatchFails,
  parseContentRange,
  parseRange,
  resolveRange,
} from '../../lib/registry/range.ts';

const WHOLE = { kind: 'whole' };
const answer = (header: string, sizeBytes: number) => resolveRange(parseRange(header), sizeBytes);

describe('registry/range: parseRange', () => {
  it('reads the three forms of a single range', () => {
    assert.deepEqual(parseRange('bytes=0-0'), { kind: 'from', startBytes: 0, endBytes: 0 });
    assert.deepEqual(parseRange('bytes=125829120-127926271'), {
      kind: 'from',
      startBytes: 125829120,
      endBytes: 127926271,
    });
    assert.deepEqual(parseRange('bytes=5-'), { kind: 'from', startBytes: 5 });
    assert.deepEqual(parseRange('bytes=-500'), { kind: 'suffix', lengthBytes: 500 });
  });

  it('takes units in any case and spaces around', () => {
    assert.deepEqual(parseRange('Bytes = 1-2 '), { kind: 'from', startBytes: 1, endBytes: 2 });
  });

  for (const header of [
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1',
    'bytes=2-1',
    'bytes=--1',
    'bytes=1--2',
    'bytes=+1-2',
    'bytes=1.5-2',
    'bytes=0x1-2',
    'items=0-1',
    'bytes 0-1',
    'bytes=0-1;q=1',
  ]) {
    it(`ignores ${JSON.stringify(header)}`, () => assert.deepEqual(parseRange(header), WHOLE));
  }

  for (const header of ['bytes=0-1,3-4', 'bytes=0-1, 3-', 'bytes=,0-1', 'bytes=0-1,']) {
    it(`answers several ranges (${header}) with the whole`, () =>
      assert.equal(answer(header, 10).status, 200));
  }

  it('keeps numbers past 2^53 past every end', () => {
    assert.equal(answer(`bytes=0-${'9'.repeat(400)}`, 10).contentRange, 'bytes 0-9/10');
    assert.equal(answer(`bytes=${'9'.repeat(30)}-`, 10).status, 416);
    assert.deepEqual(answer(`bytes=-${'9'.repeat(30)}`, 10), {
      status: 206,
      startBytes: 0,
      endBytes: 10,
      contentRange: 'bytes 0-9/10',
    });
  });
});

describe('registry/range: resolveRange', () => {
  const cases: [string, number, number, number, number, string | undefined][] = [
    ['', 10, 200, 0, 10, undefined],
    ['', 0, 200, 0, 0, undefined],
    ['bytes=0-0', 10, 206, 0, 1, 'bytes 0-0/10'],
    ['bytes=0-9', 10, 206, 0, 10, 'bytes 0-9/10'],
    ['bytes=0-10', 10, 206, 0, 10, 'bytes 0-9/10'],
    ['bytes=9-9', 10, 206, 9, 10, 'bytes 9-9/10'],
    ['bytes=9-100', 10, 206, 9, 10, 'bytes 9-9/10'],
    ['bytes=0-', 10, 206, 0, 10, 'bytes 0-9/10'],
    ['bytes=4-', 10, 206, 4, 10, 'bytes 4-9/10'],
    ['bytes=-1', 10, 206, 9, 10, 'bytes 9-9/10'],
    ['bytes=-10', 10, 206, 0, 10, 'bytes 0-9/10'],
    ['bytes=-11', 10, 206, 0, 10, 'bytes 0-9/10'],
    ['bytes=10-', 10, 416, 0, 0, 'bytes */10'],
    ['bytes=10-20', 10, 416, 0, 0, 'bytes */10'],
    ['bytes=-0', 10, 416, 0, 0, 'bytes */10'],
    ['bytes=0-', 0, 416, 0, 0, 'bytes */0'],
    ['bytes=0-0', 0, 416, 0, 0, 'bytes */0'],
    ['bytes=-5', 0, 416, 0, 0, 'bytes */0'],
    [
      'bytes=2147483648-2147483649',
      21474836480,
      206,
      2147483648,
      2147483650,
      'bytes 2147483648-2147483649/21474836480',
    ],
  ];
  for (const [header, sizeBytes, status, startBytes, endBytes, contentRange] of cases) {
    it(`${header || 'no range'} of ${sizeBytes} bytes: ${status} ${contentRange ?? ''}`, () => {
      assert.deepEqual(answer(header, sizeBytes), {
        status,
        startBytes,
        endBytes,
        ...(contentRange === undefined ? {} : { contentRange }),
      });
    });
  }

  it('never leaves the object, whatever is asked', () => {
    const position = fc.oneof(fc.nat({ max: 30 }), fc.maxSafeNat()).map(String);
    const header = fc.oneof(
      fc.tuple(position, position).map(([a, b]) => `bytes=${a}-${b}`),
      position.map((a) => `bytes=${a}-`),
      position.map((n) => `bytes=-${n}`),
      fc.string(),
    );
    fc.assert(
      fc.property(header, fc.nat({ max: 40 }), (text, sizeBytes) => {
        const span = answer(text, sizeBytes);
        if (span.status === 416)
          return span.contentRange === `bytes */${sizeBytes}` && span.endBytes === 0;
        if (span.status === 200)
          return (
            span.startBytes === 0 && span.endBytes === sizeBytes && span.contentRange === undefined
          );
        const said = parseContentRange(span.contentRange);
        return (
          span.startBytes < span.endBytes &&
          span.endBytes <= sizeBytes &&
          said?.startBytes === span.startBytes &&
          said.endBytes === span.endBytes &&
          said.totalBytes === sizeBytes
        );
      }),
    );
  });
});

describe('registry/range: ifRangeHolds', () => {
  const etag = `"sha256:${'0'.repeat(64)}"`;
  it('follows the range without If-Range, and with the very tag', () => {
    assert.equal(ifRangeHolds(undefined, etag), true);
    assert.equal(ifRangeHolds('', null), true);
    assert.equal(ifRangeHolds(etag, etag), true);
    assert.equal(ifRangeHolds(` ${etag} `, etag), true);
  });
  it('sends the whole for any other tag, weak ones, dates, and where there is no tag', () => {
    for (const header of [
      '"other"',
      `W/${etag}`,
      'Wed, 21 Oct 2015 07:28:00 GMT',
      etag.replaceAll('"', ''),
    ])
      assert.equal(ifRangeHolds(header, etag), false, header);
    assert.equal(ifRangeHolds(etag, null), false);
  });
});

describe('registry/range: parseContentRange', () => {
  it('reads what 206 and 416 say', () => {
    assert.deepEqual(parseContentRange('bytes 0-0/10'), {
      startBytes: 0,
      endBytes: 1,
      totalBytes: 10,
    });
    assert.deepEqual(parseContentRange('bytes 5-9/*'), {
      startBytes: 5,
      endBytes: 10,
      totalBytes: null,
    });
    assert.deepEqual(parseContentRange('bytes */10'), {
      startBytes: null,
      endBytes: null,
      totalBytes: 10,
    });
  });
  it('refuses what contradicts itself', () => {
    for (const header of [
      undefined,
      '',
      'bytes',
      'bytes 5-4/10',
      'bytes 0-10/10',
      'bytes */*',
      'bytes 0-9',
      'items 0-1/2',
      'bytes -1/2',
      'bytes 0-99999999999999999999/*',
    ])
      assert.equal(parseContentRange(header), null, header);
  });

  describe('If-None-Match', () => {
    const etag = '"sha256:0"';
    for (const header of [etag, '*', `W/${etag}`, `"x", ${etag}`])
      it(`holds for ${header}`, () => assert.equal(noneMatchFails(header, etag), true));
    for (const header of ['', '"x"', undefined])
      it(`does not hold for ${header}`, () => assert.equal(noneMatchFails(header, etag), false));
  });

  it('compares positions beyond 2^53 as they are written', () => {
    assert.deepEqual(parseRange('bytes=9007199254740993-9007199254740992'), { kind: 'whole' });
    const range = parseRange('bytes=9007199254740992-9007199254740993');
    assert.equal(range.kind, 'from');
    assert.equal(resolveRange(range, 100).status, 416);
    assert.equal(resolveRange(parseRange('bytes=5-99999999999999999999'), 100).endBytes, 100);
    assert.equal(resolveRange(parseRange('bytes=-99999999999999999999'), 100).startBytes, 0);
  });

  it('takes no size beyond 2^53 from a Content-Range', () => {
    for (const header of ['bytes 0-9/9007199254740993', 'bytes */99999999999999999999'])
      assert.equal(parseContentRange(header), null);
  });
});
