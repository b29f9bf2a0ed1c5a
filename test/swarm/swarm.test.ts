import assert from 'node:assert/strict';
import { SHARD_BYTES } from '../../lib/limits.ts';
import {
  HOPS_MAX,
  LIES_MAX,
  QUARANTINE_MS,
  TRACKER_IDLE_MS,
  TREE_FANOUT,
  UNKNOWN_LINE_CHAIN_NODES_MAX,
  YIELD_OWNERS_MAX,
} from '../../lib/swarm/limits.ts';
import {
  asChild,
  CONTEXT,
  data,
  failure,
  KEY,
  ownerOf,
  pass,
  redirect,
  request,
  rig,
  shardWhere,
} from './fixture.ts';

describe('swarm/swarm', () => {
  it('has one fetch of a shard, however many want it', () => {
    const { swarm, effects, members } = rig(3, 1);
    const shard = { key: KEY, index: 5 };
    const fetch = swarm.want(shard, CONTEXT);
    assert.equal(swarm.want(shard, { id: 'another' }), fetch);
    assert.equal(swarm.want({ ...shard }, null, request(shard, members[1]!.node)), fetch);
    assert.equal(effects.calls.length, 1);
    assert.equal(swarm.snapshot().fetches, 1);
  });

  it('passes shards on only with peers, and batches origin reads only without', () => {
    for (const [agents, roots, inner] of [
      [1, 0, 0],
      [1, 1, 0],
      [2, 0, 0],
      [UNKNOWN_LINE_CHAIN_NODES_MAX, 0, 0],
      [UNKNOWN_LINE_CHAIN_NODES_MAX + 1, 0, 1],
    ] as const) {
      const { swarm } = rig(agents, roots);
      assert.equal(
        Array.from({ length: TREE_FANOUT }, (_, index) => swarm.innerShards()(index)).filter(
          Boolean,
        ).length,
        inner,
        `${agents} agents, ${roots} roots`,
      );
    }
    for (const agents of [1, 2]) {
      const { swarm, effects, members } = rig(agents, 0);
      swarm.want(
        shardWhere(swarm, (rank) => rank[0] === members[0]!.node),
        CONTEXT,
      );
      assert.equal(effects.last('origin').ask.alone, agents === 1);
    }
  });

  it('serves the first who ask as owner and sends the others to those', () => {
    const { swarm, members } = rig(40, 0);
    const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
    const verdicts = members.slice(1).map(({ node }) => swarm.ask(request(shard, node)));
    const served = verdicts.filter(({ kind }) => kind === 'serve').length;
    assert.ok(served >= 1 && served <= 8, `${served} served`);
    assert.equal(swarm.snapshot().uploads, served);
    for (const verdict of verdicts)
      if (verdict.kind === 'redirect')
        assert.ok(verdict.parents.every((node) => node !== members[0]!.node));
    const asked = new Set(
      verdicts.flatMap((verdict) => (verdict.kind === 'redirect' ? verdict.parents : [])),
    );
    assert.ok(asked.size > 4, 'the load is spread');
    swarm.sent(shard, members[1]!.node, true);
    assert.equal(swarm.snapshot().uploads, served - 1);
    assert.equal(swarm.trees(shard.key, 1000).length, 39);
    assert.deepEqual(swarm.trackedBlobs(), [shard.key]);
  });

  it('sends children the checksum once it knows it, even if the shard is gone', () => {
    const { swarm, effects, members } = rig(40, 0);
    const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
    for (const { node } of members.slice(1, 10)) swarm.ask(request(shard, node));
    assert.equal(swarm.factsOf(shard), undefined);
    swarm.want(shard, CONTEXT).settle(1, data('aa', null));
    assert.equal(effects.last('finished').result.kind, 'done');
    assert.equal(swarm.factsOf(shard)!.checksum, 'aa');
    const verdict = members
      .slice(10)
      .map(({ node }) => swarm.ask(request(shard, node)))
      .find(({ kind }) => kind === 'redirect');
    assert.equal(verdict?.kind === 'redirect' && verdict.checksum, 'aa');
  });

  it('misses as parent what it neither has nor receives, and serves what it does', () => {
    const { swarm, members } = rig(4, 1);
    const shard = shardWhere(swarm, (rank) => rank[0] !== members[0]!.node);
    const child = members.slice(1).find(({ node }) => node !== ownerOf(swarm, shard))!.node;
    assert.equal(swarm.ask(request(shard, child, { role: 'parent' })).kind, 'miss');
    assert.equal(swarm.ask(request(shard, child, { role: 'parent', held: true })).kind, 'serve');
    swarm.want(shard, CONTEXT);
    assert.equal(swarm.ask(request(shard, child, { role: 'parent' })).kind, 'serve');
  });

  it('never serves who it is reading from, itself, or a request that has come too far', () => {
    const { swarm, effects, members } = rig(4, 0);
    const shard = shardWhere(swarm, (rank) => rank[0] !== members[0]!.node);
    swarm.want(shard, CONTEXT);
    const source = effects.last('ask').ask.node;
    for (const as of ['owner', 'parent', 'root'] as const)
      assert.equal(swarm.ask(request(shard, source, { role: as })).kind, 'miss');
    assert.equal(swarm.ask(request(shard, members[0]!.node)).kind, 'miss');
    assert.equal(
      swarm.ask(
        request(shard, members.find(({ node }) => node !== source)!.node, { hops: HOPS_MAX + 1 }),
      ).kind,
      'miss',
    );
  });

  it('counts a hop more when it asks on behalf of others', () => {
    const { swarm, effects, members } = rig(4, 1);
    const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
    swarm.want(shard, null, request(shard, members[1]!.node, { hops: 2 }));
    assert.equal(effects.last('ask').ask.hops, 3);
  });

  it('does not send children to nodes it has found bad', () => {
    const made = rig(30, 0);
    const { swarm, members } = made;
    const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
    swarm.accuse(members[1]!.node);
    for (const { node } of members.slice(1)) {
      const verdict = swarm.ask(request(shard, node));
      if (verdict.kind === 'redirect') assert.notEqual(verdict.parents[0], members[1]!.node);
    }
    assert.equal(swarm.snapshot().quarantines, 1);
  });

  it('tells of a quarantine when it begins and when it ends', () => {
    const made = rig(3, 0);
    const { node } = made.members[1]!;
    for (let lie = 0; lie < LIES_MAX; lie++) made.swarm.accuse(node);
    pass(made, QUARANTINE_MS + 1);
    made.swarm.tick();
    assert.deepEqual(made.events, [
      ['lied', node],
      ['released', node],
    ]);
  });

  it('forgets nodes that left, and trees nobody asks about', () => {
    const made = rig(10, 0);
    const { swarm, members } = made;
    const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
    for (const { node } of members.slice(1)) swarm.ask(request(shard, node));
    swarm.setMembers(members.slice(0, 5));
    assert.equal(swarm.trees(shard.key, 100).length, 4);
    made.clock.advance(TRACKER_IDLE_MS + 10_000);
    swarm.tick();
    assert.equal(swarm.snapshot().trees, 0);
  });

  it('is the owner of a shard that it is first for, or when nobody better can be asked', () => {
    const { swarm, members } = rig(2, 0);
    const self = members[0]!.node;
    const [own, other] = [true, false].map((isOwn) =>
      shardWhere(swarm, (rank) => (rank[0] === self) === isOwn),
    );
    assert.deepEqual([swarm.isOwner(own!), swarm.isOwner(other!)], [true, false]);
    swarm.want(other!, CONTEXT).settle(1, failure('PEER_UNREACHABLE'));
    assert.ok(swarm.isOwner(other!));
  });

  it('counts itself in when the members named leave it out', () => {
    const { swarm, members } = rig(3, 0);
    swarm.setMembers(members.slice(1));
    assert.ok(swarm.membership.byNode.has(members[0]!.node));
  });

  describe('as an owner on a slow line', () => {
    const SLOW_MS = 400;
    /** An owner that has tested its line, and has begun to read a shard from the root. */
    function slowOwner(roots = 1, atRank = 0) {
      const made = rig(12, roots);
      const { swarm, effects, members } = made;
      const self = members[0]!.node;
      pass(made, 10_000);
      effects.lineTests[0]!.told({ receivedBytes: SHARD_BYTES, tookMs: SLOW_MS });
      const shard = shardWhere(swarm, (rank) => rank.indexOf(self) === atRank);
      const better = swarm.membership.owners.top(shard).slice(0, atRank);
      const asker = members[11]!.node;
      const asks = (lineMs?: number) =>
        swarm.ask(
          request(shard, asker, { ...(lineMs === undefined ? {} : { lineMs }), exclude: better }),
        );
      swarm.want(shard, CONTEXT, request(shard, asker, { exclude: better }));
      return { ...made, shard, asks, fetch: swarm.fetching(shard)! };
    }

    it('leaves the shard to the next when a much faster node asks, and asks it as owner', () => {
      const { asks, effects, fetch, swarm, shard, members } = slowOwner();
      assert.equal(asks().kind, 'serve');
      assert.equal(asks(SLOW_MS / 4).kind, 'miss');
      assert.equal(effects.calls.at(-1)!.call, 'abandon');
      fetch.settle(1, failure('CANCELLED'));
      const { ask } = effects.last('ask');
      assert.equal(ask.node, swarm.membership.owners.top(shard)[1]);
      assert.equal(ask.role, 'owner');
      assert.ok(ask.exclude.includes(members[0]!.node), 'it is told that it is the owner now');
      assert.equal(asks().kind, 'miss', 'whoever asks from now on');
    });

    it('keeps it without a root, far back in rank, for slow nodes, and once half has come', () => {
      assert.equal(slowOwner(0).asks(1).kind, 'serve');
      assert.equal(slowOwner(1, YIELD_OWNERS_MAX).asks(1).kind, 'serve');
      assert.equal(slowOwner().asks(SLOW_MS).kind, 'serve');
      const { asks, effects } = slowOwner();
      effects.received = SHARD_BYTES / 2 + 1;
      assert.equal(asks(1).kind, 'serve');
    });
  });

  it('reads from the root when it is asked as owner and its parent has sent nothing', () => {
    for (const [roots, bytes] of [
      [1, 0],
      [1, 1],
      [0, 0],
    ] as const) {
      const { swarm, effects, fetch, members, owner } = asChild(8, roots);
      const [parent, asker] = members
        .map(({ node }) => node)
        .filter((node) => node !== owner)
        .slice(1);
      fetch.settle(1, redirect([parent!]));
      assert.equal(effects.last('ask').ask.node, parent);
      effects.received = bytes;
      swarm.ask(request(fetch.shard, asker!, { exclude: [owner] }));
      if (roots === 0 || bytes > 0) {
        assert.equal(effects.last('ask').ask.node, parent, 'it stays with its parent');
        continue;
      }
      assert.equal(effects.calls.at(-1)!.call, 'abandon');
      fetch.settle(2, failure('CANCELLED'));
      assert.equal(effects.last('ask').ask.role, 'root');
    }
  });

  it('takes a node in again when its cool-down is over', () => {
    const made = rig(3, 0);
    const shard = shardWhere(made.swarm, (rank) => rank[0] !== made.members[0]!.node);
    const owner = ownerOf(made.swarm, shard);
    made.swarm.want(shard, CONTEXT).settle(1, failure('PEER_UNREACHABLE'));
    assert.notEqual(ownerOf(made.swarm, shard), owner);
    pass(made, 5000);
    assert.equal(ownerOf(made.swarm, shard), owner);
  });
});
