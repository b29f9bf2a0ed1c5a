import assert from 'node:assert/strict';
import { MANIFEST_MEMBERS_MAX } from '../../lib/registry/limits.ts';
import { manifestMembers, type TypeSource } from '../../lib/registry/manifest.ts';

const digest = (fill: number): string => `sha256:${fill.toString(16).padStart(64, '0')}`;
const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const IMAGE_2 = 'application/vnd.docker.distribution.manifest.v2+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const members = (manifest: unknown, type = IMAGE, source: TypeSource = 'registry'): string[] =>
  manifestMembers(
    new TextEncoder().encode(typeof manifest === 'string' ? manifest : JSON.stringify(manifest)),
    type,
    source,
  ).map(({ digest }) => digest);

describe('registry/manifest', () => {
  it('finds config and layers of an image, manifests of an index', () => {
    assert.deepEqual(
      members({
        config: { digest: digest(1) },
        layers: [{ digest: digest(2) }, { digest: digest(3) }],
      }),
      [digest(1), digest(2), digest(3)],
    );
    for (const type of [INDEX, LIST, `${INDEX}; charset=utf-8`])
      assert.deepEqual(members({ manifests: [{ digest: digest(4), platform: {} }] }, type), [
        digest(4),
      ]);
  });

  it('leaves out fields that its type does not have: no registry checks those blobs', () => {
    const all = {
      config: { digest: digest(1) },
      layers: [{ digest: digest(2) }],
      manifests: [{ digest: digest(3) }],
      blobs: [{ digest: digest(4) }],
    };
    for (const type of [IMAGE, IMAGE_2])
      assert.deepEqual(members(all, type), [digest(1), digest(2)]);
    for (const type of [INDEX, LIST]) assert.deepEqual(members(all, type), [digest(3)]);
    for (const type of ['', 'application/json', 'application/vnd.oci.artifact.manifest.v1+json'])
      assert.deepEqual(members(all, type), []);
  });

  it('believes an index or another node about the type only if the manifest says the same', () => {
    const layers = [{ digest: digest(1) }];
    assert.deepEqual(members({ mediaType: IMAGE, layers }, IMAGE, 'hearsay'), [digest(1)]);
    for (const source of ['registry', 'hearsay'] as const)
      assert.deepEqual(members({ mediaType: LIST, layers }, IMAGE, source), []);
    assert.deepEqual(members({ layers }, IMAGE, 'hearsay'), []);
  });

  it('finds nothing where a registry in Go may have read and checked something else', () => {
    const [own, foreign] = [{ digest: digest(1) }, { digest: digest(2) }];
    for (const key of ['Layers', 'LAYERS', 'layer\u017f', 'MediaType', 'Manifests'])
      assert.deepEqual(members({ layers: [foreign], [key]: [own] }), [], key);
    for (const more of [
      { Digest: digest(1) },
      { digeſt: digest(1) },
      { URLS: ['https://x.example/'] },
    ])
      assert.deepEqual(members({ layers: [own, { ...foreign, ...more }] }), [digest(1)]);
  });

  it('finds nothing where a name stands twice: what Go makes of two need not be the last', () => {
    const [foreign, own] = [
      JSON.stringify([{ digest: digest(1), urls: ['https://x.example/'] }]),
      JSON.stringify([{ digest: digest(2) }]),
    ];
    assert.deepEqual(
      members(`{"layers":${own},"annotations":{"a":"\\"layers\\":","b\\\\":"\\u003c"}}`),
      [digest(2)],
    );
    for (const twice of [
      `{"layers":${foreign},"layers":${own}}`,
      `{"layers":${foreign}, "layer\\u0073" : ${own}}`,
      `{"layers":[{"urls":["https://x.example/"],"urls":[],"digest":"${digest(2)}"}]}`,
    ]) {
      assert.deepEqual(members(twice), [], twice);
    }
  });

  it('leaves out what the registry does not vouch for: foreign layers and subject', () => {
    assert.deepEqual(
      members({
        layers: [
          { digest: digest(1), urls: ['https://x.example/'] },
          { digest: digest(2), urls: [] },
        ],
        subject: { digest: digest(3) },
      }),
      [],
    );
  });

  it('finds nothing in what is no manifest', () => {
    for (const body of [
      '',
      'null',
      '[]',
      '"x"',
      '{',
      '{"layers":{}}',
      '{"layers":[null,1,"x",{},{"digest":1},{"digest":"sha256:zz"}]}',
      '{"config":[]}',
    ])
      assert.deepEqual(members(body), [], body);
  });

  it('stops at its bound', () => {
    const layers = Array.from({ length: MANIFEST_MEMBERS_MAX + 10 }, (_, index) => ({
      digest: digest(index),
    }));
    assert.ok(members({ layers }).length <= MANIFEST_MEMBERS_MAX);
  });
});
