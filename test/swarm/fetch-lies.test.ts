import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import { STAT_MISSES_MAX } from '../../lib/swarm/limits.ts';
import { CONTEXT, asChild, data, failure } from './fixture.ts';

describe('swarm/fetch: lies', () => {
  it('keeps the trusted part, quarantines a single liar at its second lie, and reports it', () => {
    const { effects, fetch, owner, members, swarm, events } = asChild();
    const liar = members.find(
      ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
    )!.node;
    fetch.settle(1, failure('PEER_BROKEN', 100_000));
    const second = effects.last('ask');
    fetch.settle(second.attempt, {
      kind: 'redirect',
      parents: [liar],
      checksum: 'right',
      totalBytes: null,
    });
    fetch.settle(effects.last('ask').attempt, data('wrong', null));
    assert.deepEqual(effects.last('stat').ask, {
      node: second.ask.node,
      parent: liar,
      report: 'lied',
    });
    assert.equal(swarm.peers().find(({ node }) => node === liar)!.condition, 'cooling');
    fetch.settleStat(effects.last('stat').attempt, { kind: 'busy', retryMs: 5 });
    assert.deepEqual(
      [effects.last('ask').ask.fromBytes, effects.last('ask').ask.exclude.includes(liar)],
      [100_000, true],
    );

    const other = swarm.want({ key: fetch.shard.key, index: fetch.shard.index + 1 }, CONTEXT);
    const asked = effects.last('ask');
    if (asked.ask.role === 'owner') {
      other.settle(asked.attempt, {
        kind: 'redirect',
        parents: [liar],
        checksum: 'right',
        totalBytes: null,
      });
      other.settle(effects.last('ask').attempt, data('wrong', null));
      assert.equal(swarm.peers().find(({ node }) => node === liar)!.condition, 'quarantined');
      assert.ok(events.some(([event, node]) => event === 'lied' && node === liar));
    }
  });

  it('treats a wrong blob size from a parent as a lie, as the checksum does not cover it', () => {
    for (const checksum of [null, 'aa']) {
      const { effects, fetch, owner, members } = asChild();
      const liar = members.find(
        ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
      )!.node;
      fetch.settle(1, {
        kind: 'redirect',
        parents: [liar],
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
      assert.deepEqual(effects.last('stat').ask, { node: owner, parent: liar, report: 'lied' });
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

  it('fails with CHECKSUM_MISMATCH if no node sends the right bytes', () => {
    const { effects, fetch } = asChild(12);
    for (let round = 0; round < 20; round++) {
      const last = effects.calls.at(-1)!;
      if (last.call === 'ask') fetch.settle(last.attempt, data('aa', 'bb'));
      else if (last.call === 'abandon') fetch.settle(last.attempt, failure('CANCELLED'));
      else break;
    }
    const { result } = effects.last('finished');
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
