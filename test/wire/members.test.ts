import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatMembersAnswer,
  membersPath,
  openMembersAnswer,
  packChange,
  parseMembers,
  unpackChange,
} from '../../lib/wire/members.ts';
import { CLOCK_SKEW_MS_MAX, MEMBERS_HOLD_MS_MAX } from '../../lib/wire/limits.ts';
import { ClusterSecret } from '../../lib/wire/secret.ts';

const HASH = 'ab'.repeat(32);
const WALL_MS = 1_700_000_000_000;
const NODE = '10.0.0.1:65002';

describe('wire/members', () => {
  const secret = new ClusterSecret(Buffer.alloc(32, 7));
  const answer = { hash: HASH, version: 5, ageMs: 20, change: null };
  const bodyOf = (more: object = {}, from = secret): string =>
    JSON.stringify(formatMembersAnswer({ ...answer, ...more }, NODE, WALL_MS, from));

  it('reads the requests that it makes, and bounds the time that they are held', () => {
    for (const have of ['', HASH]) {
      const query = { node: NODE, have, version: 7, holdMs: 25_000 };
      const [path = '', text = ''] = membersPath(query).split('?');
      assert.deepEqual(parseMembers(path, text), query);
    }
    const long = membersPath({ node: NODE, have: '', version: 0, holdMs: 1e9 }).split('?')[1]!;
    assert.equal(parseMembers('/rpc/members', long)?.holdMs, MEMBERS_HOLD_MS_MAX);
  });

  it('turns away what is no request', () => {
    for (const query of [
      '',
      `node=${NODE}&have=xyz&version=1&hold=1`,
      'node=http://a/&have=&version=1&hold=1',
      `node=${NODE}&have=&version=-1&hold=1`,
      `node=${NODE}&have=&version=1&hold=long`,
    ])
      assert.equal(parseMembers('/rpc/members', query), null, query);
    assert.equal(parseMembers('/rpc/membership', `node=${NODE}&have=&version=1&hold=1`), null);
  });

  it('opens an answer for the node that asked, of this cluster, within a minute', () => {
    assert.deepEqual(openMembersAnswer(bodyOf(), NODE, WALL_MS + 500, secret), answer);
    assert.equal(openMembersAnswer(bodyOf(), '10.0.0.2:65002', WALL_MS, secret), null);
    const late = WALL_MS + CLOCK_SKEW_MS_MAX + 1;
    assert.equal(openMembersAnswer(bodyOf(), NODE, late, secret), null);
    const stranger = new ClusterSecret(Buffer.alloc(32, 8));
    assert.equal(openMembersAnswer(bodyOf({}, stranger), NODE, WALL_MS, secret), null);
  });

  it('opens nothing else', () => {
    for (const more of [{ hash: 'x' }, { version: -1 }, { ageMs: 'a' }, { change: 5 }])
      assert.equal(openMembersAnswer(bodyOf(more), NODE, WALL_MS, secret), null);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
        assert.equal(openMembersAnswer(body, NODE, WALL_MS, secret), null);
      }),
    );
  });

  it('unpacks the changes that it packs, and survives anything else', () => {
    const node = fc.ipV4().map((address) => `${address}:65002`);
    const members = fc.array(
      fc.record({ node, zone: fc.option(fc.constantFrom('a', 'b')) }, { noNullPrototype: true }),
    );
    const came = fc.record({ agents: members, roots: members }, { noNullPrototype: true });
    const change = fc.record(
      { whole: fc.boolean(), left: fc.array(node), came },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(change, (made) => assert.deepEqual(unpackChange(packChange(made)), made)),
    );
    fc.assert(fc.property(fc.base64String(), (text) => void unpackChange(text)));
    const bad = { whole: true, left: ['a line\nbreak'], came: { agents: [], roots: [] } };
    assert.equal(unpackChange(packChange(bad)), null);
  });
});
