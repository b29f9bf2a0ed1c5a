import assert from 'node:assert/strict';
import { blobsOf, childOfIndex, parseImageName } from '../../lib/demo/image.ts';

const manifest = (value: unknown) => ({
  digest: '',
  mediaType: 'application/json',
  bytes: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
});
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

describe('image names', () => {
  it('have a tag, a digest, or are the latest', () => {
    assert.deepEqual(parseImageName('library/nginx:1.27'), {
      repository: 'library/nginx',
      reference: '1.27',
    });
    assert.deepEqual(parseImageName(`a/b@${digest('0')}`), {
      repository: 'a/b',
      reference: digest('0'),
    });
    assert.deepEqual(parseImageName('a'), { repository: 'a', reference: 'latest' });
  });

  for (const wrong of [
    '',
    '/a',
    'a/',
    'A',
    'a:',
    'a:b:c',
    'a@sha256:12',
    'host:5000/a:b',
    'a b',
    '../a',
    `a:${'t'.repeat(129)}`,
  ]) {
    it(`are not ${JSON.stringify(wrong)}`, () => assert.equal(parseImageName(wrong), null));
  }
});

describe('manifests', () => {
  it('of an index: the linux/amd64 child, else the first', () => {
    const child = (os: string, architecture: string, letter: string) => ({
      digest: digest(letter),
      platform: { os, architecture },
    });
    assert.equal(
      childOfIndex(
        manifest({ manifests: [child('linux', 'arm64', 'a'), child('linux', 'amd64', 'b')] }),
      ),
      digest('b'),
    );
    assert.equal(
      childOfIndex(manifest({ manifests: [child('linux', 'arm64', 'a')] })),
      digest('a'),
    );
    assert.equal(childOfIndex(manifest({ layers: [] })), null);
    assert.throws(() => childOfIndex(manifest({ manifests: [] })), { code: 'ORIGIN_BROKEN' });
  });

  it('of an image: each blob once, foreign layers left out', () => {
    const blobs = blobsOf(
      manifest({
        config: { digest: digest('c'), size: 2 },
        layers: [
          { digest: digest('a'), size: 5 },
          { digest: digest('a'), size: 5 },
          { digest: digest('f'), size: 9, urls: ['https://elsewhere'] },
        ],
      }),
    );
    assert.deepEqual(blobs, [
      { digest: digest('c'), sizeBytes: 2 },
      { digest: digest('a'), sizeBytes: 5 },
    ]);
  });

  for (const wrong of [
    '',
    '7',
    'null',
    '{}',
    '{"config":{},"layers":[]}',
    { schemaVersion: 1, fsLayers: [] },
    { config: { digest: 'sha256:0', size: 1 }, layers: [] },
  ]) {
    it(`are not ${JSON.stringify(wrong)}`, () =>
      assert.throws(() => blobsOf(manifest(wrong)), { code: 'ORIGIN_BROKEN' }));
  }
});
