import assert from 'node:assert/strict';
import { PEER_HOLD_MS } from '../../lib/limits.ts';
import { SOUNDING_GROWTHS_MAX, SOUNDING_LOOK_MS, SOUNDING_MS_MAX } from '../../lib/swarm/limits.ts';
import { Soundings } from '../../lib/swarm/soundings.ts';
import type { NodeId } from '../../lib/swarm/types.ts';
import { failure, rig, shardWhere, type Rig } from './fixture.ts';

const SILENT_MS = 100;

describe('swarm/soundings', () => {
  it('sounds a silent node once at a time, however many requests it holds', () => {
    const soundings = new Soundings();
    assert.deepEqual(soundings.due(['a', 'a', 'b'], SILENT_MS, 0), []);
    soundings.heard('b', 50);
    assert.deepEqual(soundings.due(['a', 'a', 'b'], SILENT_MS, SILENT_MS), ['a']);
    assert.deepEqual(soundings.due(['a', 'b'], SILENT_MS, 149), [], 'it is being sounded');
    assert.deepEqual(soundings.due(['a', 'b'], SILENT_MS, 150), ['b']);
  });

  it('forgets a node that holds nothing any more', () => {
    const soundings = new Soundings();
    soundings.due(['a'], SILENT_MS, 0);
    soundings.due([], SILENT_MS, 50);
    assert.deepEqual(soundings.due(['a'], SILENT_MS, SILENT_MS), [], 'counted anew');
  });

  it('asks less often after each answer, down to a bound', () => {
    const soundings = new Soundings();
    const times: number[] = [];
    for (let nowMs = 0; times.length < SOUNDING_GROWTHS_MAX + 4; nowMs += 10) {
      if (soundings.due(['a'], SILENT_MS, nowMs).length === 0) continue;
      times.push(nowMs);
      assert.equal(soundings.over('a', true, nowMs), false);
    }
    const gaps = times.map((ms, at) => ms - (times[at - 1] ?? 0));
    assert.deepEqual(gaps, [100, 400, 1600, 1600, 1600, 1600]);
    const lastMs = times.at(-1)!;
    soundings.heard('a', lastMs);
    assert.deepEqual(soundings.due(['a'], SILENT_MS, lastMs + SILENT_MS), ['a'], 'as at first');
  });

  it('takes a node for gone only if nothing came of it since it was asked', () => {
    const soundings = new Soundings();
    for (const heardMs of [null, SILENT_MS + 1]) {
      soundings.due([], SILENT_MS, 0);
      soundings.due(['a'], SILENT_MS, 0);
      soundings.due(['a'], SILENT_MS, SILENT_MS);
      if (heardMs !== null) soundings.heard('a', heardMs);
      assert.equal(soundings.over('a', false, 2 * SILENT_MS), heardMs === null);
    }
    assert.equal(soundings.over('b', false, 0), false, 'nobody asked');
  });

  it('asks nodes that hold nothing once in a while, and believes what came meanwhile', () => {
    const soundings = new Soundings();
    soundings.due(['holds'], SILENT_MS, 0);
    assert.deepEqual(soundings.unheard(['holds', 'a', 'b', 'c'], 0), ['a', 'b', 'c']);
    assert.deepEqual(soundings.unheard(['a', 'd'], SOUNDING_MS_MAX), ['d']);
    soundings.heard('b', 1);
    const gone = ['a', 'b', 'c'].map((node) => soundings.aheadOver(node, node === 'c'));
    assert.deepEqual(gone, [true, false, false]);
    assert.deepEqual(soundings.unheard(['a'], SOUNDING_MS_MAX + 1), ['a']);
  });
});

describe('swarm: an owner that has failed', () => {
  it('has the next in rank sounded, so that none of them is waited for in vain', () => {
    const made = rig(8, 1);
    const { swarm, effects, members } = made;
    const self = members[0]!.node;
    const shard = shardWhere(swarm, (rank) => rank.indexOf(self) > 4);
    const [first, second, third, fourth] = swarm.membership.owners.top(shard);
    const fetch = swarm.want(shard, null);
    fetch.settle(1, failure('PEER_TIMEOUT'));
    fetch.settle(2, failure('PEER_TIMEOUT'));
    assert.deepEqual(made.effects.soundings.map(({ node }) => node).slice(0, 3), [
      second,
      third,
      fourth,
    ]);
    effects.soundings.find(({ node }) => node === third)!.told(false);
    const asked = effects.calls.flatMap((call) => (call.call === 'ask' ? [call.ask.node] : []));
    assert.deepEqual(new Set(asked), new Set([first, second, third]));
    fetch.settle(3, failure('CANCELLED'));
    assert.equal(fetch.source, fourth);
  });

  it('is asked whether it is there before a fetch waits for it again', () => {
    const made = rig(4, 1);
    const { swarm, effects, clock } = made;
    const gone: NodeId = '10.0.0.2:65002';
    const shard = shardWhere(swarm, ([first]) => first === gone);
    swarm.want(shard, null).settle(1, failure('PEER_UNREACHABLE'));
    const condition = (): string => swarm.peers().find(({ node }) => node === gone)!.condition;
    for (const isThere of [false, true]) {
      const before = effects.soundings.length;
      const sounded = (): typeof effects.soundings =>
        effects.soundings.slice(before).filter(({ node }) => node === gone);
      for (let looks = 0; sounded().length === 0; looks++) {
        assert.ok(looks < 100 && condition() === 'cooling');
        clock.advance(SOUNDING_LOOK_MS);
        swarm.tick();
      }
      assert.equal(condition(), 'cooling');
      sounded()[0]!.told(isThere);
      assert.equal(condition(), isThere ? 'good' : 'cooling');
    }
  });
});

describe('swarm: nodes that hold requests and fall silent', () => {
  let made: Rig;
  const held: NodeId = '10.0.0.2:65002';

  /** Has this node ask `held`, the owner, for two shards. */
  beforeEach(() => {
    made = rig(4, 1);
    const { swarm } = made;
    const isOwner = ([first]: readonly NodeId[]): boolean => first === held;
    const shard = shardWhere(swarm, isOwner);
    swarm.want(shard, null);
    swarm.want(shardWhere(swarm, isOwner, shard.index + 1), null);
    assert.deepEqual(
      made.effects.calls.map((call) => (call.call === 'ask' ? call.ask.node : call.call)),
      [held, held],
    );
  });

  /** Lets time pass, in ticks. */
  function passes(ms: number): void {
    for (const endMs = made.clock.nowMs() + ms; made.clock.nowMs() < endMs;) {
      made.clock.advance(SOUNDING_LOOK_MS);
      made.swarm.tick();
    }
  }

  it('leaves one that does not answer, with all that it was asked for', () => {
    passes(PEER_HOLD_MS + SOUNDING_LOOK_MS);
    const { soundings, calls } = made.effects;
    assert.deepEqual(
      soundings.map(({ node }) => node),
      [held],
    );
    soundings[0]!.told(false);
    assert.equal(calls.filter(({ call }) => call === 'abandon').length, 2);
    assert.equal(made.swarm.peers().find(({ node }) => node === held)?.condition, 'cooling');
  });

  it('stays with one that answers', () => {
    passes(PEER_HOLD_MS + SOUNDING_LOOK_MS);
    made.effects.soundings[0]!.told(true);
    assert.equal(made.effects.calls.filter(({ call }) => call === 'abandon').length, 0);
    assert.equal(made.swarm.peers().find(({ node }) => node === held)?.condition, 'good');
  });
});
