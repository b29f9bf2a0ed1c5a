import assert from 'node:assert/strict';
import { deflateSync, gzipSync } from 'node:zlib';
import { codingsOf, decoded } from '../../lib/origin/codings.ts';

const BODY = Buffer.alloc(10_000, 'a layer');

describe('origin/codings', () => {
  it('undoes codings, the last one first', () => {
    const codings = codingsOf('gzip, identity, Deflate');
    assert.deepEqual(codings, ['gzip', 'deflate']);
    const coded = deflateSync(gzipSync(BODY));
    assert.deepEqual(Buffer.from(decoded(coded, codings, BODY.length)!), BODY);
  });

  it('decodes neither what is longer than allowed nor what is no such body', () => {
    assert.equal(decoded(gzipSync(BODY), ['gzip'], BODY.length - 1), null);
    assert.equal(decoded(BODY, ['gzip'], BODY.length), null);
    assert.equal(decoded(BODY, ['compress'], BODY.length), null);
  });

  it('decodes three codings of a body, not more: each takes time', () => {
    const times = (count: number): Uint8Array | null => {
      let coded: Uint8Array = BODY;
      for (let time = 0; time < count; time++) coded = gzipSync(coded);
      return decoded(coded, Array<string>(count).fill('gzip'), BODY.length);
    };
    assert.deepEqual(Buffer.from(times(3)!), BODY);
    assert.equal(times(4), null);
  });
});
