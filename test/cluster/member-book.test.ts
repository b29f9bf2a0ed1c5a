import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemberBook } from '../../lib/cluster/member-book.ts';
import { FEED_HISTORY } from '../../lib/cluster/limits.ts';
import { membershipView, type MembershipView } from '../../lib/cluster/membership.ts';

const member = fc.record(
  {
    node: fc.nat({ max: 40 }).map((at) => `10.0.0.${at}:65002`),
    zone: fc.constantFrom(null, 'a', 'b'),
  },
  { noNullPrototype: true },
);
const view: fc.Arbitrary<MembershipView> = fc
  .tuple(fc.array(member, { maxLength: 30 }), fc.array(member, { maxLength: 3 }))
  .map(([agents, roots]) => membershipView(agents, roots));

describe('cluster/member-book', () => {
  it('leads from any list to any other one by a difference, or from none', () => {
    fc.assert(
      fc.property(view, view, (before, after) => {
        const [teller, follower] = [new MemberBook(), new MemberBook()];
        teller.take(before, 1);
        teller.take(after, 2);
        const { hash } = teller.current!;
        const whole = follower.changed(teller.changeFrom(''), 2, hash);
        assert.deepEqual(whole?.view, after);
        follower.take(before, 1);
        const changed = follower.changed(teller.changeFrom(follower.current!.hash), 2, hash);
        assert.deepEqual(changed?.view, after);
        assert.equal(changed?.hash, hash);
      }),
    );
  });

  it('refuses a change that is for another list, or is none', () => {
    const [teller, follower] = [new MemberBook(), new MemberBook()];
    const of = (...nodes: string[]): MembershipView =>
      membershipView(
        nodes.map((node) => ({ node, zone: null })),
        [],
      );
    teller.take(of('a:1', 'b:1'), 1);
    const { hash } = teller.current!;
    teller.take(of('a:1'), 2);
    const change = teller.changeFrom(hash);
    assert.equal(follower.changed(change, 2, teller.current!.hash), null);
    follower.take(of('c:1', 'd:1'), 1);
    assert.equal(follower.changed(change, 2, teller.current!.hash), null);
    for (const bad of ['', 'AAAA', Buffer.from('{}').toString('base64')])
      assert.equal(follower.changed(bad, 2, hash), null);
  });

  it('tells the whole list to who has one that it no longer remembers', () => {
    const teller = new MemberBook();
    const hashes: string[] = [];
    for (let at = 0; at < FEED_HISTORY + 3; at++) {
      teller.take(membershipView([{ node: `a:${at}`, zone: null }], []), at);
      hashes.push(teller.current!.hash);
    }
    const whole = teller.changeFrom('');
    assert.equal(teller.changeFrom(hashes[0]!), whole);
    assert.notEqual(teller.changeFrom(hashes.at(-2)!), whole);
  });
});
