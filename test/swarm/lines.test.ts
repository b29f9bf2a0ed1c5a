import assert from 'node:assert/strict';
import { LINE_TEST_BYTES, SHARD_BYTES } from '../../lib/limits.ts';
import { TESTED_SHARD_MS_MIN } from '../../lib/swarm/line-meter.ts';
import type { Member, ShardId, Verdict } from '../../lib/swarm/types.ts';
import { CONTEXT, data, KEY, pass, request, rig, shardWhere, type Rig } from './fixture.ts';

const HOUR_MS = 3_600_000;

/** Ticks once a second, as an idle node does. */
function idle({ swarm, clock }: Rig, forMs: number): void {
  for (let ms = 0; ms < forMs; ms += 1_000) {
    clock.advance(1_000);
    swarm.tick();
  }
}

/** The tests of a node so far; the last has shown that a shard takes `shardMs`. */
function tested(made: Rig, shardMs: number): void {
  idle(made, 10_000);
  made.effects.lineTests.at(-1)!.told({ receivedBytes: SHARD_BYTES, tookMs: shardMs });
}

describe('swarm/lines', () => {
  describe('testing', () => {
    it('tests its line with four other agents within ten seconds, and again after an hour', () => {
      const made = rig(8, 2);
      idle(made, 10_000);
      const { lineTests } = made.effects;
      assert.equal(lineTests.length, 1);
      const { nodes, told } = lineTests[0]!;
      const others = new Set(made.members.slice(1, 8).map(({ node }) => node));
      assert.equal(new Set(nodes).size, 4);
      assert.ok(nodes.every((node) => others.has(node)));
      idle(made, HOUR_MS);
      assert.equal(lineTests.length, 1, 'one at a time');
      told({ receivedBytes: SHARD_BYTES, tookMs: 100 });
      idle(made, 0.7 * HOUR_MS);
      assert.equal(lineTests.length, 1);
      idle(made, 0.6 * HOUR_MS);
      assert.equal(lineTests.length, 2);
    });

    it('tries again after minutes when too little came', () => {
      const made = rig(3, 0);
      idle(made, 10_000);
      made.effects.lineTests[0]!.told({ receivedBytes: 0, tookMs: 0 });
      idle(made, 400_000);
      assert.equal(made.effects.lineTests.length, 2);
    });

    it('does not while it fetches, nor alone, nor as a root', () => {
      const busy = rig(3, 1);
      busy.swarm.want({ key: KEY, index: 0 }, CONTEXT);
      pass(busy, 20_000);
      assert.deepEqual(busy.effects.lineTests, []);
      const alone = rig(1, 1);
      idle(alone, 60_000);
      assert.deepEqual(alone.effects.lineTests, []);
      const members = rig(2, 1).members;
      const root = rig(2, 1, members[2]);
      idle(root, 60_000);
      assert.deepEqual(root.effects.lineTests, []);
    });

    it('asks the agents of its own zone where there are some: others are further away', () => {
      const zoned = (zone: string) => (member: Member) => ({ ...member, zone });
      const made = rig(8, 0);
      const members = [
        ...made.members.slice(0, 4).map(zoned('a')),
        ...made.members.slice(4).map(zoned('b')),
      ];
      const near = rig(8, 0, members[0]);
      near.swarm.setMembers(members);
      idle(near, 10_000);
      const names = members.slice(1, 4).map(({ node }) => node);
      assert.deepEqual([...near.effects.lineTests[0]!.nodes].sort(), names.sort());
    });
  });

  it('tells the nodes that it asks what a test has shown, and nothing before', () => {
    const made = rig(8, 1);
    const { swarm, effects } = made;
    const [self] = made.members.map(({ node }) => node);
    const first = shardWhere(swarm, (rank) => rank[0] !== self);
    const fetch = swarm.want(first, CONTEXT);
    assert.equal(effects.last('ask').ask.lineMs, undefined);
    fetch.settle(1, data('aa', 'aa'));
    tested(made, 700);
    swarm.want({ key: KEY, index: first.index }, CONTEXT);
    assert.equal(Math.round(effects.last('ask').ask.lineMs!), 700);
  });

  it('lets a reader ask for all shards at once on a fast line, and where it is alone', () => {
    for (const [agents, lineMs, isAtOnce] of [
      [8, null, false],
      [8, 100, false],
      [8, 10, true],
      [1, null, true],
    ] as const) {
      const made = rig(agents, 0);
      if (lineMs !== null) {
        idle(made, 10_000);
        const tookMs = (lineMs * LINE_TEST_BYTES) / SHARD_BYTES;
        made.effects.lineTests[0]!.told({ receivedBytes: LINE_TEST_BYTES, tookMs });
      }
      assert.equal(made.swarm.readsAheadAtOnce, isAtOnce);
    }
  });

  describe('as owner', () => {
    /**
     * An owner that has two shards, and what it answers to each agent in turn: of the second, when
     * it has heard of all lines.
     */
    function owner(lineMs: (at: number) => number | undefined): Verdict[] {
      const made = rig(12, 1);
      const { swarm, members } = made;
      const own = (key: string): ShardId => ({
        ...shardWhere(swarm, (rank) => rank[0] === members[0]!.node),
        key,
      });
      const asks = (shard: ShardId): Verdict[] =>
        members.slice(1, 12).map(({ node }, at) => {
          const ms = lineMs(at);
          const line = ms === undefined ? {} : { lineMs: ms };
          return swarm.ask(request(shard, node, { held: true, ...line }));
        });
      asks(own('one'));
      return asks(own('other'));
    }
    const parents = (verdicts: Verdict[]): (string | undefined)[] =>
      verdicts.map((verdict) => (verdict.kind === 'redirect' ? verdict.parents[0] : undefined));

    it('gives slow nodes a chain of their own: no fast one waits for them', () => {
      const isSlow = (at: number): boolean => at % 3 === 1;
      const names = rig(12, 1)
        .members.slice(1)
        .map(({ node }) => node);
      const given = parents(owner((at) => (isSlow(at) ? 400 : 100)));
      for (const [at, parent] of given.entries())
        if (parent !== undefined && !isSlow(at)) assert.ok(!isSlow(names.indexOf(parent)));
      assert.equal(new Set(given.slice(1)).size, 9, 'one parent sends to a node of each chain');
    });

    it('does not believe a few that boast: most nodes would be slow beside them', () => {
      const boasting = parents(owner((at) => (at < 2 ? 1 : 100)));
      const plain = parents(owner(() => 100));
      assert.deepEqual(boasting, plain);
    });

    it('takes all lines for equal that are faster than a test can tell', () => {
      assert.deepEqual(
        parents(owner((at) => (at < 8 ? 2 : 2 * TESTED_SHARD_MS_MIN))),
        parents(owner(() => 2)),
      );
    });

    it('takes nodes that have not tested their lines for usual ones', () => {
      assert.deepEqual(
        parents(owner((at) => (at % 2 === 0 ? undefined : 100))),
        parents(owner(() => 100)),
      );
    });
  });

  it('leaves a shard that it has not begun to read, and asks the next owner when it does', () => {
    const made = rig(12, 1);
    const { swarm, effects, members } = made;
    const isOwn = ([first]: readonly string[]): boolean => first === members[0]!.node;
    const shard = shardWhere(swarm, isOwn);
    const [fast, usual] = [members[11]!.node, members[10]!.node];
    assert.equal(swarm.ask(request(shard, fast, { lineMs: 100 })).kind, 'serve', 'not tested yet');
    tested(made, 700);
    const other = shardWhere(swarm, isOwn, shard.index + 1);
    assert.equal(swarm.ask(request(other, usual, { lineMs: 700 })).kind, 'serve');
    assert.equal(swarm.ask(request(other, fast, { lineMs: 100 })).kind, 'miss');
    assert.equal(swarm.ask(request(other, usual, { lineMs: 700 })).kind, 'miss', 'whoever asks');
    swarm.want(other, CONTEXT);
    const { ask } = effects.last('ask');
    assert.equal(ask.role, 'owner');
    assert.ok(ask.exclude.includes(members[0]!.node), 'the next is told that it is the owner now');
  });

  it('keeps its shards when one node boasts, if its own line is as fast as those of others', () => {
    const made = rig(12, 1);
    const { swarm, members } = made;
    tested(made, 100);
    const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
    for (const { node } of members.slice(1, 8)) swarm.ask(request(shard, node, { lineMs: 100 }));
    const boaster = request({ ...shard, key: 'other' }, members[11]!.node, { lineMs: 1 });
    assert.equal(swarm.ask(boaster).kind, 'serve');
  });

  it('leaves a shard to the next owner when the line of who asks was found much faster', () => {
    for (const [ownMs, lineMs, kind] of [
      [700, 100, 'miss'],
      [700, 400, 'serve'],
    ] as const) {
      const made = rig(12, 1);
      const { swarm, members } = made;
      tested(made, ownMs);
      const shard = shardWhere(swarm, (rank) => rank[0] === members[0]!.node);
      const asker = members[11]!.node;
      swarm.want(shard, CONTEXT, request(shard, asker));
      assert.equal(swarm.ask(request(shard, asker, { lineMs })).kind, kind);
    }
  });
});
