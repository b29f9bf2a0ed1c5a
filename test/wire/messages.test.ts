import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatOffers,
  holdersPath,
  parseHolderNames,
  parseHolders,
  parseOffers,
} from '../../lib/wire/holders.ts';
import { parsePread, preadPath, type PreadQuery } from '../../lib/wire/pread.ts';
import { parseStat, statPath, type StatQuery } from '../../lib/wire/stat.ts';

const hex64 = fc.string({
  unit: fc.constantFrom(...'0123456789abcdef'),
  minLength: 64,
  maxLength: 64,
});
const key = fc
  .tuple(fc.constantFrom('sha256', 'url'), hex64)
  .map(([kind, hex]) => `${kind}:${hex}`);
const node = fc.oneof(
  fc
    .tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 }))
    .map(([address, port]) => `${address}:${port}`),
  fc
    .tuple(fc.ipV6(), fc.integer({ min: 1, max: 65_535 }))
    .map(([address, port]) => `[${address}]:${port}`),
  fc.constant('shoal-3.shoal.kube-system.svc:65002'),
);
const count = fc.nat({ max: 999_999_999 });
const zone = fc.option(fc.string({ unit: 'grapheme' }));

const pread: fc.Arbitrary<PreadQuery> = fc.record(
  {
    checked: fc.constant(true as const),
    parentFailed: fc.constant(true as const),
    whole: fc.constant(true as const),
    key,
    shard: count,
    fromBytes: count,
    node,
    zone,
    role: fc.constantFrom('owner', 'parent', 'root', 'holder'),
    exclude: fc.array(node, { maxLength: 16 }),
    hops: count,
    load: count,
    holdMs: fc.nat({ max: 5000 }),
    lineMs: count,
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      ...(['key', 'shard', 'fromBytes', 'node', 'zone', 'role'] as const),
      ...(['exclude', 'hops', 'load', 'holdMs'] as const),
    ],
  },
);
const stat: fc.Arbitrary<StatQuery> = fc.record(
  {
    key,
    shard: count,
    node,
    zone,
    parent: fc.option(node),
    report: fc.constantFrom('none', 'done', 'failed', 'slow', 'lied'),
  },
  { noNullPrototype: true },
);

/** Path and query as the server gets them. */
const cut = (whole: string): [string, string] => {
  const mark = whole.indexOf('?');
  return mark < 0 ? [whole, ''] : [whole.slice(0, mark), whole.slice(mark + 1)];
};

describe('wire/messages', () => {
  it('understands every request it can make', () => {
    fc.assert(
      fc.property(pread, (query) => assert.deepEqual(parsePread(...cut(preadPath(query))), query)),
    );
    fc.assert(
      fc.property(stat, (query) => assert.deepEqual(parseStat(...cut(statPath(query))), query)),
    );
  });

  it('makes nothing that would end a request line or hide in it', () => {
    fc.assert(
      fc.property(pread, stat, (one, other) =>
        [preadPath(one), statPath(other)].every(
          (path) => /^\/rpc\/[!-~]+$/.test(path) && !path.includes('#'),
        ),
      ),
    );
  });

  const good = preadPath({
    key: `sha256:${'ab'.repeat(32)}`,
    shard: 3,
    fromBytes: 0,
    node: '10.0.0.1:65002',
    zone: null,
    role: 'parent',
    exclude: [],
    hops: 0,
    load: 0,
    holdMs: 1000,
  });

  it('takes a request without a load, as 0', () => {
    assert.equal(parsePread(...cut(good.replace('&load=0', '')))?.load, 0);
  });

  const spoilt: [string, string][] = [
    ['a key of another kind', good.replace('sha256:', 'sha512:')],
    ['a key too short', good.replace('abab', 'ab')],
    ['a key in capitals', good.replaceAll('ab', 'AB')],
    ['a path beyond the shard', good.replace('/3?', '/3/x?')],
    ['a path that climbs', good.replace('/rpc/pread/', '/rpc/pread/../pread/')],
    ['a negative shard', good.replace('/3?', '/-3?')],
    ['a shard past all blobs', good.replace('/3?', '/3000000000?')],
    ['no node', good.replace('node=10.0.0.1%3A65002', 'node=')],
    ['a node with a line break', good.replace('node=10.0.0.1%3A65002', 'node=10.0.0.1%0d%0ax')],
    ['a node that is a URL', good.replace('node=10.0.0.1%3A65002', 'node=http%3A%2F%2Fx')],
    ['no role', good.replace('role=parent', 'role=king')],
    ['no start', good.replace('from=0', 'from=')],
    ['a start that is no count', good.replace('from=0', 'from=1e3')],
    ['hops that are no count', good.replace('hops=0', 'hops=-1')],
    ['a bad name among those excluded', `${good}&not=10.0.0.1:1,%20`],
    ['no query', cut(good)[0]],
  ];
  for (const [what, whole] of spoilt)
    it(`turns away ${what}`, () => assert.equal(parsePread(...cut(whole)), null));

  it('turns away a stat with a report or a parent it does not know', () => {
    const path = statPath({
      key: `url:${'ab'.repeat(32)}`,
      shard: 0,
      node: 'a:1',
      zone: null,
      parent: 'b:2',
      report: 'done',
    });
    assert.notEqual(parseStat(...cut(path)), null);
    assert.equal(parseStat(...cut(path.replace('report=done', 'report=happy'))), null);
    assert.equal(parseStat(...cut(path.replace('parent=b%3A2', 'parent=%0d%0a'))), null);
  });

  it('survives whatever is sent', () => {
    const paths = fc.oneof(fc.string({ unit: 'binary' }), fc.constant(cut(good)[0]));
    fc.assert(
      fc.property(paths, fc.string({ unit: 'binary' }), (path, query) => {
        const [one, other] = [parsePread(path, query), parseStat(path, query)];
        return (
          (one === null || /^[0-9A-Za-z.:[\]-]+$/.test(one.node)) &&
          (other === null || /^[0-9A-Za-z.:[\]-]+$/.test(other.node))
        );
      }),
    );
  });

  it('reads back offers and searches, and nothing that is none', () => {
    fc.assert(
      fc.property(node, fc.array(hex64, { maxLength: 20 }), (name, hexes) => {
        const offers = { node: name, keys: hexes.map((hex) => `sha256:${hex}`) };
        assert.deepEqual(parseOffers(formatOffers(offers)), offers);
      }),
    );
    fc.assert(
      fc.property(node, key, (name, of) => {
        const query = { key: of, node: name };
        assert.deepEqual(parseHolders(...cut(holdersPath(query))), query);
      }),
    );
    for (const bad of ['', '[]', '{"node":"a b","blobs":[]}', '{"node":"a:1","blobs":["x"]}'])
      assert.equal(parseOffers(bad), null, bad);
    assert.equal(parseHolders('/rpc/holders/sha256:0', 'node=a:1'), null);
    assert.equal(parseHolderNames('{"nodes":["a b"]}'), null);
    assert.deepEqual(parseHolderNames('{"nodes":["10.0.0.1:2"]}'), ['10.0.0.1:2']);
  });
});
