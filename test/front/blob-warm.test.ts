import assert from 'node:assert/strict';
import { BlobFixture, DIGEST, PATH, SECOND, SMALL, TOTAL_BYTES } from './blob-fixture.ts';

describe('front/blob-answer, warm', () => {
  let f: BlobFixture;
  beforeEach(async () => (f = await new BlobFixture().listen()));
  afterEach(() => f.close());

  let place: { slot: number; generation: number };
  beforeEach(async () => {
    const answer = f.get();
    place = f.at.place(0, SMALL, 1_000);
    f.opened(await f.at.hears('open'), place, { grantMs: 60_000 });
    await answer;
    await f.at.hears('close');
  });

  it('answers the same request again without asking control', async () => {
    const messages = f.at.heard.length;
    const [whole, part, size] = [
      await f.get(),
      await f.get({ range: 'bytes=10-19' }),
      await f.get({}, 'HEAD'),
    ];
    assert.ok(whole.body.equals(SMALL) && part.body.equals(SMALL.subarray(10, 20)));
    assert.equal(size.headers['content-length'], '1000');
    assert.equal(f.at.heard.length, messages);
    assert.deepEqual(f.warmReads, [
      [DIGEST, 0, 1_000],
      [DIGEST, 10, 10],
    ]);
  });

  it('asks control for another credential, another URL, and once the grant is over', async () => {
    for (const [headers, path] of [
      [{ authorization: 'Bearer other' }, PATH],
      [{}, `${PATH}?x=1`],
      [{}, PATH.replace('app', 'other')],
    ] as const) {
      const answer = f.get(headers, 'GET', path);
      const open = await f.at.hears('open');
      f.at.says({
        kind: 'refused',
        id: open.id,
        error: { code: 'ORIGIN_REFUSED', message: 'no', status: 403 },
      });
      assert.equal((await answer).status, 403);
    }
    f.nowMs += 60_000;
    const answer = f.get();
    f.opened(await f.at.hears('open'), place);
    assert.equal((await answer).status, 200);
  });

  it('asks control for a shard that left its slot, and never sends what is there now', async () => {
    f.at.place(0, SECOND, TOTAL_BYTES);
    const answer = f.get();
    f.opened(await f.at.hears('open'), f.at.place(1, SMALL, 1_000));
    assert.ok((await answer).body.equals(SMALL));
  });
});
