import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import {
  CONTEXT,
  asChild,
  data,
  failure,
  ownerOf,
  pass,
  redirect,
  request,
  rig,
  shardWhere,
} from './fixture.ts';

describe('swarm/fetch: the way of a shard', () => {
  it('asks the owner, follows its redirect, asks it for the checksum and reports', () => {
    const { effects, fetch, owner, members, swarm } = asChild();
    assert.deepEqual(
      { ...effects.last('ask').ask },
      {
        node: owner,
        role: 'owner',
        fromBytes: 0,
        exclude: [],
        hops: 0,
        load: 0,
        shardMs: null,
        gatherMs: 40,
        holdMs: 150,
        silenceMs: 650,
        stallMs: 1650,
        trusted: true,
        origin: CONTEXT,
      },
    );
    const parent = members.find(
      ({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node,
    )!.node;
    fetch.settle(1, redirect([parent]));
    const second = effects.last('ask');
    assert.deepEqual(
      [second.ask.node, second.ask.role, second.ask.trusted, second.ask.origin],
      [parent, 'parent', false, null],
    );
    fetch.settle(second.attempt, data('aa', 'a checksum that a parent may not set'));
    assert.deepEqual(effects.last('stat').ask, { node: owner, parent, report: 'done' });
    fetch.settleStat(effects.last('stat').attempt, {
      kind: 'stat',
      totalBytes: 100 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'aa',
    });
    assert.deepEqual(effects.last('finished').result, {
      kind: 'done',
      totalBytes: 100 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'aa',
      from: 'peer',
    });
    assert.equal(swarm.fetching(fetch.shard), undefined);
  });

  it("takes the checksum from the owner's redirect and sends no stat", () => {
    const { effects, fetch, owner, members } = asChild();
    const parent = members.find(({ node }) => node !== owner && node !== members[0]!.node)!.node;
    fetch.settle(1, { kind: 'redirect', parents: [parent], checksum: 'aa', totalBytes: null });
    fetch.settle(2, data('aa', null));
    assert.equal(effects.last('finished').result.kind, 'done');
  });

  it('resumes at the same byte from another node and excludes the one that failed', () => {
    const made = asChild();
    const { effects, fetch, owner, members, swarm } = made;
    const [first, second] = members
      .filter(({ node, role }) => role === 'agent' && node !== owner && node !== members[0]!.node)
      .map(({ node }) => node);
    fetch.settle(1, redirect([first!]));
    fetch.settle(2, failure('PEER_BROKEN', 700_000));
    const again = effects.last('ask').ask;
    assert.deepEqual(
      [again.node, again.role, again.fromBytes, again.exclude, again.trusted],
      [owner, 'owner', 700_000, [first], false],
    );
    assert.equal(swarm.peers().find(({ node }) => node === first)!.condition, 'cooling');
    fetch.settle(3, redirect([first!, second!]));
    assert.deepEqual(
      [effects.last('ask').ask.node, effects.last('ask').ask.fromBytes],
      [second, 700_000],
    );
  });

  it('asks the next in rank if the owner is down, and names the owner it passed over', () => {
    const { effects, fetch, owner, swarm } = asChild();
    fetch.settle(1, failure('PEER_UNREACHABLE'));
    const rank = swarm.membership.owners.top(fetch.shard);
    assert.deepEqual(
      [effects.last('ask').ask.node, effects.last('ask').ask.role, effects.last('ask').ask.exclude],
      [rank[1], 'owner', [owner]],
    );
    assert.equal(ownerOf(swarm, fetch.shard), rank[1]);
  });

  it("as owner reads from the shard's root, and from the origin only when no root is left", () => {
    const made = rig(4, 2);
    const shard = shardWhere(made.swarm, (rank) => rank[0] === made.members[0]!.node);
    const fetch = made.swarm.want(shard, CONTEXT);
    const [first, second] = made.swarm.membership.roots.top(shard);
    assert.deepEqual(
      [made.effects.last('ask').ask.node, made.effects.last('ask').ask.role],
      [first, 'root'],
    );
    fetch.settle(1, failure('PEER_UNREACHABLE'));
    assert.equal(made.effects.last('ask').ask.node, second);
    fetch.settle(2, { kind: 'miss' });
    assert.deepEqual(made.effects.last('origin').ask, {
      fromBytes: 0,
      alone: false,
      origin: CONTEXT,
    });
    fetch.settle(3, data('aa', null));
    assert.deepEqual(made.effects.last('finished').result, {
      kind: 'done',
      totalBytes: 100 * SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'aa',
      from: 'origin',
    });
    assert.equal(made.swarm.factsOf(shard), undefined, 'nobody asked, so nothing is tracked');
  });

  it("compares a root's bytes with the root's checksum", () => {
    const made = rig(1, 1);
    const shard = { key: made.members[0]!.node, index: 0 };
    const fetch = made.swarm.want(shard, CONTEXT);
    fetch.settle(1, data('aa', null));
    assert.deepEqual(made.effects.last('stat').ask.node, made.members[1]!.node);
    fetch.settleStat(2, {
      kind: 'stat',
      totalBytes: SHARD_BYTES,
      lengthBytes: SHARD_BYTES,
      checksum: 'bb',
    });
    assert.equal(made.effects.last('ask').ask.fromBytes, 0);
    fetch.settle(3, data('aa', 'bb'));
    assert.equal(made.effects.last('origin').ask.fromBytes, 0, 'it contradicts itself again');
  });

  it('asks the same node again when a thread of its own ended, and blames nobody', () => {
    const made = asChild();
    const { effects, fetch, owner, swarm } = made;
    fetch.settle(1, failure('THREAD_LOST', 700_000));
    pass(made, 1_000);
    const again = effects.last('ask').ask;
    assert.deepEqual([again.node, again.fromBytes], [owner, 0]);
    assert.equal(swarm.peers().find(({ node }) => node === owner)!.condition, 'good');
  });

  it('reads again from the origin what only peers had sent', () => {
    const made = rig(2, 0);
    const shard = shardWhere(made.swarm, (rank) => rank[0] !== made.members[0]!.node);
    const fetch = made.swarm.want(shard, CONTEXT);
    fetch.settle(1, failure('PEER_BROKEN', 300_000));
    assert.deepEqual(made.effects.last('origin').ask, {
      fromBytes: 0,
      alone: false,
      origin: CONTEXT,
    });
    made.swarm.setMembers(made.members);
    fetch.settle(2, failure('ORIGIN_BROKEN', 500_000));
    pass(made, 1000);
    assert.equal(
      made.effects.last('origin').ask.fromBytes,
      500_000,
      'what the origin itself sent is kept',
    );
  });
});

describe('swarm/fetch: as the next in rank', () => {
  it('takes over at once from an owner that a child passed over, if there are roots', () => {
    const made = rig(6, 1);
    const self = made.members[0]!.node;
    const shard = shardWhere(made.swarm, (rank) => rank[1] === self);
    const owner = ownerOf(made.swarm, shard);
    const fetch = made.swarm.want(shard, CONTEXT);
    assert.equal(made.effects.last('ask').ask.node, owner);
    made.swarm.want(shard, null, request(shard, made.members[2]!.node, { exclude: [owner] }));
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    assert.equal(made.effects.last('ask').ask.role, 'root');
  });

  it('takes over only if several nodes agree, if there are no roots', () => {
    const made = rig(8, 0);
    const self = made.members[0]!.node;
    const shard = shardWhere(made.swarm, (rank) => rank[1] === self);
    const owner = ownerOf(made.swarm, shard);
    const others = made.members
      .map(({ node }) => node)
      .filter((node) => node !== self && node !== owner);
    const fetch = made.swarm.want(shard, CONTEXT);
    for (const node of [others[0]!, others[0]!, others[1]!])
      made.swarm.want(shard, null, request(shard, node, { exclude: [owner] }));
    assert.deepEqual(
      made.effects.calls.map(({ call }) => call),
      ['ask'],
    );
    made.swarm.want(shard, null, request(shard, others[2]!, { exclude: [owner] }));
    fetch.settle(made.effects.last('abandon').attempt, failure('CANCELLED'));
    assert.equal(made.effects.calls.at(-1)!.call, 'origin');
  });
});
