import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { BlobFixture, DIGEST, FIRST, SECOND, SMALL, TOTAL_BYTES } from './blob-fixture.ts';

describe('front/blob-answer, ranges', () => {
  let f: BlobFixture;
  beforeEach(async () => (f = await new BlobFixture().listen()));
  afterEach(() => f.close());

  const ranges: [string, string, number, number | null, number, string][] = [
    ['a closed range', 'bytes=100-199', 0, 0, 206, `bytes 100-199/${TOTAL_BYTES}`],
    [
      'an open range',
      `bytes=${SHARD_BYTES}-`,
      1,
      null,
      206,
      `bytes ${SHARD_BYTES}-${TOTAL_BYTES - 1}/${TOTAL_BYTES}`,
    ],
    [
      'a range over two shards',
      `bytes=${SHARD_BYTES - 1}-${SHARD_BYTES}`,
      0,
      1,
      206,
      `bytes ${SHARD_BYTES - 1}-${SHARD_BYTES}/${TOTAL_BYTES}`,
    ],
    [
      'the end by its length',
      'bytes=-5',
      0,
      null,
      206,
      `bytes ${TOTAL_BYTES - 5}-${TOTAL_BYTES - 1}/${TOTAL_BYTES}`,
    ],
    [
      'a range past the end',
      `bytes=${TOTAL_BYTES - 1}-${5 * SHARD_BYTES - 1}`,
      1,
      4,
      206,
      `bytes ${TOTAL_BYTES - 1}-${TOTAL_BYTES - 1}/${TOTAL_BYTES}`,
    ],
    ['several ranges, as the whole', 'bytes=0-1,5-6', 0, null, 200, ''],
  ];
  for (const [what, range, shard, untilShard, status, contentRange] of ranges) {
    it(`answers ${what}`, async () => {
      const answer = f.get({ range });
      const places = [f.at.place(0, FIRST, TOTAL_BYTES), f.at.place(1, SECOND, TOTAL_BYTES)];
      const open = await f.at.hears('open');
      assert.deepEqual([open.shard, open.untilShard], [shard, untilShard]);
      f.opened(open, places[shard]!, { totalBytes: TOTAL_BYTES });
      const other =
        shard === 0 &&
        (range === 'bytes=-5' || status === 200 || contentRange.includes(`${SHARD_BYTES - 1}-`));
      if (other) {
        const want = await f.at.hears('want');
        assert.deepEqual([want.shard, want.placed], [1, false]);
        f.at.says({
          kind: 'granted',
          id: open.id,
          shard: 1,
          ...places[1]!,
          checksum: null,
          totalBytes: TOTAL_BYTES,
          cold: false,
        });
      }
      const got = await answer;
      assert.equal(got.status, status);
      assert.equal(got.headers['content-range'] ?? '', contentRange);
      const [, from, to] = /(\d+)-(\d+)/.exec(contentRange) ?? [];
      const whole = Buffer.concat([FIRST, SECOND]);
      assert.ok(
        got.body.equals(from === undefined ? whole : whole.subarray(Number(from), Number(to) + 1)),
      );
    });
  }

  it('says 416 with the size, and the whole when If-Range does not fit', async () => {
    const outside = f.get({ range: 'bytes=1000-' });
    const first = await f.at.hears('open');
    const place = f.at.place(0, SMALL, 1_000);
    f.opened(first, place);
    const { status, headers } = await outside;
    assert.deepEqual([status, headers['content-range']], [416, 'bytes */1000']);
    for (const [etag, due] of [
      [`"${DIGEST}"`, 206],
      ['"other"', 200],
      [`W/"${DIGEST}"`, 200],
    ] as const) {
      const answer = f.get({ range: 'bytes=0-9', 'if-range': etag });
      f.opened(await f.at.hears('open'), place);
      assert.equal((await answer).status, due, etag);
    }
  });

  it('answers HEAD from the size alone', async () => {
    const answer = f.get({}, 'HEAD');
    const open = await f.at.hears('open');
    assert.equal(open.untilShard, 0);
    f.opened(open, f.at.place(0, Buffer.alloc(0), TOTAL_BYTES, { lengthBytes: SHARD_BYTES }), {
      totalBytes: TOTAL_BYTES,
    });
    const { status, headers, body } = await answer;
    assert.deepEqual(
      [status, headers['content-length'], body.length],
      [200, String(TOTAL_BYTES), 0],
    );
  });

  it('answers an empty blob', async () => {
    const answer = f.get();
    f.opened(await f.at.hears('open'), f.at.place(0, Buffer.alloc(0), 0));
    const { status, headers } = await answer;
    assert.deepEqual([status, headers['content-length']], [200, '0']);
  });
});
