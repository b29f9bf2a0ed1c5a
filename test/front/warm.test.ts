import assert from 'node:assert/strict';
import { WarmMemory } from '../../lib/front/warm.ts';
import type { BlobName } from '../../lib/workers/messages.ts';

const NAME = { key: 'sha256:ab' } as BlobName;

describe('front/warm', () => {
  it('answers a request it has seen granted, as long as the grant lasts', () => {
    const warm = new WarmMemory();
    const blob = warm.blob('sha256:ab', 100);
    warm.grant('host /path? Bearer t', NAME, blob, 1_000);
    assert.equal(warm.find('host /path? Bearer t', 999)?.blob, blob);
    assert.equal(warm.find('host /path? Bearer other', 999), undefined);
    assert.equal(warm.find('host /path? Bearer t', 1_000), undefined);
    assert.equal(warm.find('host /path? Bearer t', 0), undefined, 'what has ended stays ended');
  });

  it('has one memory of places for all requests of a blob, and a new one when its size is another', () => {
    const warm = new WarmMemory();
    const blob = warm.blob('sha256:ab', 100);
    blob.places.set(0, { slot: 3, generation: 1 });
    assert.equal(warm.blob('sha256:ab', 100), blob);
    assert.equal(warm.blob('sha256:ab', 101).places.size, 0);
    assert.notEqual(warm.blob('sha256:cd', 101), warm.blob('sha256:ab', 101));
  });
});
