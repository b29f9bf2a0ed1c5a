import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { LIES_MAX, STAT_MISSES_MAX } from '../../lib/swarm/limits.ts';
import type { AttemptResult } from '../../lib/swarm/types.ts';
import { CONTEXT, asChild, data, failure, request, rig, shardWhere } from './fixture.ts';

describe('swarm/fetch: lies', () => {
  /** A node that may be named as a parent. */
  const another = ({ members, owner }: ReturnType<typeof asChild>): string =>
    members.find(
      ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
    )!.node;

  it('keeps the trusted part, and blames nobody who may have only forwarded wrong bytes', () => {
    const child = asChild();
    const { effects, fetch, swarm } = child;
    const parent = another(child);
    fetch.settle(1, failure('PEER_BROKEN', 100_000));
    const named = { kind: 'redirect', parents: [parent], checksum: 'right', totalBytes: null };
    fetch.settle(effects.last('ask').attempt, named as AttemptResult);
    assert.equal(effects.last('ask').ask.checked, undefined);
    fetch.settle(effects.last('ask').attempt, data('wrong', null));
    const again = effects.last('ask').ask;
    assert.deepEqual([again.fromBytes, again.exclude.includes(parent)], [100_000, true]);
    assert.equal(effects.calls.filter(({ call }) => call === 'stat').length, 0);
    assert.equal(swarm.peers().find(({ node }) => node === parent)!.condition, 'good');
  });

  it('then asks for checked bytes only, and quarantines who sends wrong ones twice', () => {
    const child = asChild(8, 0);
    const { effects, fetch, owner, swarm, events } = child;
    const liar = another(child);
    const named = { kind: 'redirect', parents: [liar], checksum: 'right', totalBytes: null };
    fetch.settle(1, named as AttemptResult);
    fetch.settle(2, data('wrong', null));
    let lies = 0;
    for (let index = 1; lies < LIES_MAX && index < 50; index++) {
      const shard = { key: fetch.shard.key, index };
      if (swarm.membership.owners.top(shard)[0] !== owner) continue;
      const other = swarm.want(shard, CONTEXT);
      other.settle(effects.last('ask').attempt, named as AttemptResult);
      const asked = effects.last('ask');
      assert.deepEqual([asked.ask.node, asked.ask.checked], [liar, true]);
      other.settle(asked.attempt, data('wrong', null));
      lies++;
      assert.deepEqual(effects.last('stat').ask, { node: owner, parent: liar, report: 'lied' });
    }
    assert.equal(lies, LIES_MAX);
    assert.equal(swarm.peers().find(({ node }) => node === liar)!.condition, 'quarantined');
    assert.ok(events.some(([event, node]) => event === 'lied' && node === liar));
  });

  it('takes no wrong blob size from a parent, as the checksum does not cover it', () => {
    for (const checksum of [null, 'aa']) {
      const child = asChild();
      const { effects, fetch, owner } = child;
      const parent = another(child);
      fetch.settle(1, {
        kind: 'redirect',
        parents: [parent],
        checksum,
        totalBytes: checksum === null ? null : 100 * SHARD_BYTES,
      });
      fetch.settle(2, {
        kind: 'data',
        totalBytes: 99 * SHARD_BYTES,
        lengthBytes: SHARD_BYTES,
        claimedChecksum: 'aa',
        checksum: 'aa',
      });
      if (checksum === null)
        fetch.settleStat(effects.last('stat').attempt, {
          kind: 'stat',
          totalBytes: 100 * SHARD_BYTES,
          lengthBytes: SHARD_BYTES,
          checksum: 'aa',
        });
      const { node, fromBytes, exclude } = effects.last('ask').ask;
      assert.deepEqual([node, fromBytes, exclude], [owner, 0, [parent]]);
    }
  });

  it('does not blame an owner for the bytes of the one before it', () => {
    const { effects, fetch, owner } = asChild(8, 0);
    fetch.settle(1, failure('PEER_BROKEN', 137));
    const next = effects.last('ask');
    assert.deepEqual([next.ask.role, next.ask.fromBytes], ['owner', 137]);
    assert.notEqual(next.ask.node, owner);
    fetch.settle(next.attempt, data('mixed', 'right'));
    const anew = effects.last('ask');
    assert.deepEqual([anew.ask.node, anew.ask.fromBytes], [next.ask.node, 0]);
    fetch.settle(anew.attempt, data('wrong', 'right'));
    assert.notEqual(effects.last('ask').ask.node, next.ask.node, 'now it contradicts itself');
  });

  it('passes over an owner whose bytes do not match its checksum', () => {
    const { effects, fetch, owner, swarm } = asChild();
    fetch.settle(1, data('aa', 'bb'));
    const next = effects.last('ask').ask;
    assert.notEqual(next.node, owner);
    assert.deepEqual(
      [next.role, next.fromBytes, next.node],
      ['owner', 0, swarm.membership.owners.top(fetch.shard)[1]],
    );
  });

  it('leaves an owner that sends bytes again and again and never says their checksum', () => {
    const { effects, fetch, owner } = asChild();
    let asks = 0;
    for (;;) {
      const last = effects.calls.at(-1)!;
      assert.ok(last.call === 'ask' || last.call === 'stat', last.call);
      if (last.ask.node !== owner) break;
      assert.ok((asks += 1) < 10, `${asks} requests to the owner`);
      if (last.call === 'ask') fetch.settle(last.attempt, data('aa', null));
      else fetch.settleStat(last.attempt, { kind: 'miss' });
    }
    assert.equal(asks, 2 * (STAT_MISSES_MAX + 1));
  });

  /** Every node that is asked sends wrong bytes, until no further node is asked. */
  function allLie({ effects, fetch }: Pick<ReturnType<typeof asChild>, 'effects' | 'fetch'>): void {
    for (let round = 0; round < 20; round++) {
      const last = effects.calls.at(-1)!;
      if (last.call === 'ask') fetch.settle(last.attempt, data('aa', 'bb'));
      else if (last.call === 'abandon') fetch.settle(last.attempt, failure('CANCELLED'));
      else break;
    }
  }

  it('reads from the origin if no node sends the right bytes', () => {
    const made = asChild(12);
    allLie(made);
    const { attempt } = made.effects.last('origin');
    made.fetch.settle(attempt, data('cc', null));
    assert.equal(made.effects.last('finished').result.kind, 'done');
  });

  it('fails with CHECKSUM_MISMATCH if it reads for another node, which tries more itself', () => {
    const made = rig(12, 1);
    const shard = shardWhere(made.swarm, ([first]) => first !== made.members[0]!.node);
    const ask = request(shard, made.members[5]!.node);
    allLie({ ...made, fetch: made.swarm.want(shard, CONTEXT, ask) });
    const { result } = made.effects.last('finished');
    assert.equal(result.kind === 'failed' && result.error.code, 'CHECKSUM_MISMATCH');
  });

  it('follows a bounded number of redirects', () => {
    const { effects, fetch, owner, members } = asChild();
    const names = members
      .filter(({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node)
      .map(({ node }) => node);
    let asks = 0;
    while (effects.last('ask').ask.node === owner || effects.last('ask').ask.role === 'parent') {
      const { attempt } = effects.last('ask');
      fetch.settle(attempt, {
        kind: 'redirect',
        parents: [names[asks++ % names.length]!],
        checksum: null,
        totalBytes: null,
      });
      assert.ok(asks < 50, 'it goes on and on');
    }
    assert.equal(effects.last('ask').ask.role, 'owner');
  });

  it('ignores a redirect to itself or to a node that is not a member', () => {
    const { effects, fetch, owner, members, swarm } = asChild();
    fetch.settle(1, {
      kind: 'redirect',
      parents: [members[0]!.node, '10.66.6.6:65002'],
      checksum: null,
      totalBytes: null,
    });
    assert.equal(effects.last('ask').ask.node, swarm.membership.owners.top(fetch.shard)[1]);
    assert.equal(swarm.peers().find(({ node }) => node === owner)!.condition, 'cooling');
  });
});
