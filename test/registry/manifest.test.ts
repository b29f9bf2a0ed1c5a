import assert from 'node:assert/strict';
import { MANIFEST_MEMBERS_MAX } from '../../lib/limits.ts';
import { manifestMembers } from '../../lib/registry/manifest.ts';

const digest = (fill: number): string => `sha256:${fill.toString(16).padStart(64, '0')}`;
const members = (manifest: unknown): string[] => manifestMembers(new TextEncoder().encode(typeof manifest === 'string' ? manifest : JSON.stringify(manifest)));

describe('registry/manifest', () => {
  it('finds config and layers of an image, manifests of an index', () => {
    assert.deepEqual(members({ config: { digest: digest(1) }, layers: [{ digest: digest(2) }, { digest: digest(3) }] }), [digest(1), digest(2), digest(3)]);
    assert.deepEqual(members({ manifests: [{ digest: digest(4), platform: {} }] }), [digest(4)]);
  });

  it('leaves out what the registry does not vouch for: foreign layers and subject', () => {
    assert.deepEqual(members({ layers: [{ digest: digest(1), urls: ['https://x.example/'] }, { digest: digest(2), urls: [] }], subject: { digest: digest(3) } }), []);
  });

  it('finds nothing in what is no manifest', () => {
    for (const body of ['', 'null', '[]', '"x"', '{', '{"layers":{}}', '{"layers":[null,1,"x",{},{"digest":1},{"digest":"sha256:zz"}]}', '{"config":[]}']) assert.deepEqual(members(body), [], body);
  });

  it('stops at its bound', () => {
    const layers = Array.from({ length: MANIFEST_MEMBERS_MAX + 10 }, (_, index) => ({ digest: digest(index) }));
    assert.ok(members({ layers }).length <= MANIFEST_MEMBERS_MAX);
  });
});
