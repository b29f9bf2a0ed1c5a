import assert from 'node:assert/strict';
import { admits, isMediaType, isSchema1, namesEveryForm } from '../../lib/registry/media.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const EVERY =
  `${INDEX}, application/vnd.oci.image.manifest.v1+json, ` +
  'application/vnd.docker.distribution.manifest.list.v2+json, ' +
  'application/vnd.docker.distribution.manifest.v2+json';
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('registry/media', () => {
  const accepts: [string | undefined, boolean][] = [
    [undefined, true],
    ['', true],
    [INDEX, true],
    [INDEX.toUpperCase(), true],
    [`text/html, ${INDEX};q=0.5`, true],
    ['*/*', true],
    ['application/*', true],
    [`${INDEX};q=0`, false],
    [`${INDEX};q=0.00`, false],
    ['application/vnd.oci.image.manifest.v1+json', false],
    ['text/*', false],
    ['application/vnd.oci.image.index', false],
  ];
  for (const [accept, admitted] of accepts) {
    it(`Accept ${accept}: ${admitted ? 'takes' : 'does not take'} an index`, () =>
      assert.equal(admits(accept, `${INDEX}; charset=utf-8`), admitted));
  }

  it('knows a client that leaves the choice to the registry from one that does not', () => {
    assert.equal(namesEveryForm(EVERY), true);
    assert.equal(namesEveryForm(`${EVERY}, */*`), true);
    for (const accept of [undefined, '*/*', INDEX, EVERY.replace(INDEX, 'x/y'), `${EVERY};q=0`])
      assert.equal(namesEveryForm(accept), false, accept);
  });

  it('knows schema 1 by its type, and by itself where the type says nothing', () => {
    for (const type of [
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'application/vnd.docker.distribution.manifest.v1+json; charset=utf-8',
    ])
      assert.equal(isSchema1(type, bytes('')), true, type);
    assert.equal(
      isSchema1('application/json', bytes('{\n  "schemaVersion": 1,\n "name": "a"}')),
      true,
    );
    assert.equal(isSchema1(undefined, bytes('{"name":"a","schemaVersion":1}')), true);
    assert.equal(isSchema1('application/json', bytes('{"schemaVersion":2}')), false);
    assert.equal(isSchema1('application/json', bytes('{"schemaVersion":12}')), false);
    assert.equal(isSchema1(INDEX, bytes('{"schemaVersion":1}')), false);
  });

  it('lets no header through in a media type', () => {
    for (const type of [INDEX, 'a/b', 'a/b; charset=utf-8'])
      assert.equal(isMediaType(type), true, type);
    for (const type of ['', 'a', 'a/b\r\nx: y', 'a/b;\n', '/b', `a/${'b'.repeat(300)}`])
      assert.equal(isMediaType(type), false, type);
  });
});
