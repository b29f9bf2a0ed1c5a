import assert from 'node:assert/strict';
import { WARM_RECENT_MAX, WARM_REQUESTS_MAX } from '../../lib/front/limits.ts';
import { WarmMemory } from '../../lib/front/warm.ts';
import type { BlobName } from '../../lib/workers/messages.ts';

const NAME = { key: 'sha256:ab' } as BlobName;

describe('front/warm', () => {
  const REQUEST = { host: 'host', rawPath: '/path', query: '', authorization: 'Bearer t' };
  const find = (warm: WarmMemory, nowMs: number, request: Partial<typeof REQUEST> = {}) => {
    const { host, rawPath, query, authorization } = { ...REQUEST, ...request };
    return warm.find(host, rawPath, query, authorization, nowMs)?.blob;
  };

  it('answers a request it has seen granted, as long as the grant lasts', () => {
    const warm = new WarmMemory();
    const blob = warm.blob('sha256:ab', 100);
    warm.grant(REQUEST, NAME, blob, 1_000);
    for (const time of ['first', 'second']) {
      assert.equal(find(warm, 999), blob, time);
      for (const other of [
        { host: 'h' },
        { rawPath: '/path/' },
        { query: 'a' },
        { authorization: 'Bearer other' },
        { authorization: '' },
      ])
        assert.equal(find(warm, 999, other), undefined, JSON.stringify(other));
    }
    assert.equal(find(warm, 1_000), undefined);
    assert.equal(find(warm, 1_001), undefined, 'what has ended stays ended');
  });

  it('goes by the newest grant of a request', () => {
    const warm = new WarmMemory();
    warm.grant(REQUEST, NAME, warm.blob('sha256:ab', 100), 1_000);
    assert.equal(find(warm, 0)?.totalBytes, 100);
    warm.grant(REQUEST, NAME, warm.blob('sha256:ab', 101), 2_000);
    assert.equal(find(warm, 1_500)?.totalBytes, 101);
    assert.equal(find(warm, 0)?.totalBytes, 101);
  });

  it('forgets what is revoked, wherever it lies', () => {
    const warm = new WarmMemory();
    const paths = Array.from({ length: WARM_RECENT_MAX }, (_, index) => `/path/${index}`);
    for (const rawPath of paths)
      warm.grant({ ...REQUEST, rawPath }, NAME, warm.blob(rawPath, 1), 1_000);
    for (const rawPath of paths.slice(1)) find(warm, 0, { rawPath });
    // So many others that the first ones are only remembered as used last.
    for (let other = 0; other < WARM_REQUESTS_MAX; other++)
      warm.grant({ ...REQUEST, rawPath: `/other/${other}` }, NAME, warm.blob('o', 1), 1_000);
    assert.deepEqual(
      paths.map((rawPath) => find(warm, 0, { rawPath }) !== undefined),
      paths.map((_, index) => index > 0),
    );
    for (const rawPath of paths) {
      warm.revoke({ ...REQUEST, rawPath });
      assert.equal(find(warm, 0, { rawPath }), undefined);
    }
    assert.notEqual(find(warm, 0, { rawPath: '/other/9' }), undefined);
  });

  it('remembers more requests than were used last', () => {
    const warm = new WarmMemory();
    const paths = Array.from({ length: 3 * WARM_RECENT_MAX }, (_, index) => `/path/${index}`);
    for (const [index, rawPath] of paths.entries())
      warm.grant({ ...REQUEST, rawPath }, NAME, warm.blob(rawPath, index), 1_000);
    for (let round = 0; round < 2; round++)
      assert.deepEqual(
        paths.map((rawPath) => find(warm, 0, { rawPath })?.totalBytes),
        [...paths.keys()],
      );
  });

  it('keeps one map of places for a blob, and a new one when the size changes', () => {
    const warm = new WarmMemory();
    const blob = warm.blob('sha256:ab', 100);
    blob.places.set(0, { slot: 3, generation: 1 });
    assert.equal(warm.blob('sha256:ab', 100), blob);
    assert.equal(warm.blob('sha256:ab', 101).places.size, 0);
    assert.notEqual(warm.blob('sha256:cd', 101), warm.blob('sha256:ab', 101));
  });
});
