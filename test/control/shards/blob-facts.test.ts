import assert from 'node:assert/strict';
import { BlobFacts } from '../../../lib/control/shards/blob-facts.ts';
import { BLOB_FACTS_BYTES_MAX } from '../../../lib/control/limits.ts';
import { REQUEST_HEAD_BYTES_MAX } from '../../../lib/limits.ts';
import { KEY, OTHER_KEY } from '../fixture.ts';

const way = (
  url: string,
  authorization: string | null = null,
): { url: string; upstreamHost: string; authorization: string | null } => ({
  url,
  upstreamHost: 'r.example',
  authorization,
});

describe('control/blob-facts', () => {
  it('remembers a size apart from the ways to the origin', () => {
    const facts = new BlobFacts();
    assert.equal(facts.totalOf(KEY), null);
    facts.addOrigin(KEY, way('https://r.example/1'));
    assert.equal(facts.totalOf(KEY), null);
    facts.sized(KEY, 7, 'upstream');
    assert.equal(facts.totalOf(KEY), 7);
    assert.equal(facts.totalOf(OTHER_KEY), null);
  });

  it('keeps what each upstream said of the size, until what it sent is not the blob', () => {
    const facts = new BlobFacts();
    const PAGE = { ...way('https://page.example/1'), upstreamHost: 'page.example' };
    const said = (): (number | null)[] =>
      ['r.example', 'page.example'].map((host) => facts.saidBy(KEY, host));
    facts.said(KEY, 'r.example', 900);
    assert.equal(facts.said(KEY, 'page.example', 4), true);
    facts.sized(KEY, 4, 'upstream');
    assert.deepEqual(said(), [900, 4]);
    facts.disproved(KEY, PAGE);
    assert.deepEqual([said(), facts.totalOf(KEY)], [[900, null], 900]);
    // It does not count again before the upstream has sent the blob, or says something else.
    assert.equal(facts.said(KEY, 'page.example', 4), false);
    assert.equal(facts.isDisproved(KEY, 'page.example', 4), true);
    assert.equal(facts.said(KEY, 'page.example', 5), true);
    facts.disproved(KEY, PAGE);
    assert.equal(facts.said(KEY, 'page.example', 5, true), true);
    facts.sized(KEY, 900, 'digest');
    assert.deepEqual(said(), [900, 900]);
  });

  it('puts the newest way first, keeps the same one once, and no more than a few', () => {
    const facts = new BlobFacts();
    for (const name of ['1', '2', '3', '1', '4', '5']) facts.addOrigin(KEY, way(name));
    assert.deepEqual(
      facts.origins(KEY).map(({ url }) => url),
      ['5', '4', '1', '3'],
    );
  });

  it('names a blob by its URL without query: the proven one, else the first asked', () => {
    const facts = new BlobFacts();
    assert.equal(facts.pathname(KEY), `/${KEY}`);
    facts.setUrl(KEY, 'https://r.example/asked?Signature=s3cr3t', null);
    facts.setUrl(KEY, 'https://r.example/other', null);
    assert.equal(facts.pathname(KEY), '/https://r.example/asked');
    facts.addOrigin(KEY, way('https://r.example/proven?Signature=s3cr3t'));
    facts.dropOrigin(KEY, facts.origins(KEY)[0]!);
    assert.equal(facts.pathname(KEY), '/https://r.example/proven');
  });

  it('tells apart two credentials for one URL', () => {
    const facts = new BlobFacts();
    facts.addOrigin(KEY, way('u', 'Bearer a'));
    facts.addOrigin(KEY, way('u', 'Bearer b'));
    assert.equal(facts.origins(KEY).length, 2);
  });

  it('drops a way the origin refuses, and only that', () => {
    const facts = new BlobFacts();
    facts.addOrigin(KEY, way('1'));
    facts.addOrigin(KEY, way('2'));
    facts.dropOrigin(KEY, facts.origins(KEY)[0]!);
    assert.deepEqual(
      facts.origins(KEY).map(({ url }) => url),
      ['1'],
    );
    facts.dropOrigin(KEY, way('1'));
    assert.deepEqual(facts.origins(KEY), [], 'the same way, if not the same object');
    facts.dropOrigin(OTHER_KEY, way('1'));
    assert.deepEqual(facts.origins(OTHER_KEY), []);
  });

  it('forgets the blobs asked for longest ago when URLs and credentials are long', () => {
    const facts = new BlobFacts();
    const long = 'u'.repeat(REQUEST_HEAD_BYTES_MAX / 2);
    const blobs = Math.ceil(BLOB_FACTS_BYTES_MAX / (REQUEST_HEAD_BYTES_MAX * 4)) + 1;
    for (let blob = 0; blob < blobs; blob++)
      for (const name of '1234') facts.addOrigin(String(blob), way(name + long, long));
    assert.equal(facts.origins('0').length, 0);
    assert.equal(facts.origins(String(blobs - 1)).length, 4);
    for (let blob = 0; blob < 5 * blobs; blob++) facts.setUrl(`named ${blob}`, long + long, null);
    assert.equal(facts.origins(String(blobs - 1)).length, 0);
  });
});
