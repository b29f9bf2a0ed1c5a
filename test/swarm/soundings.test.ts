import assert from 'node:assert/strict';
import { PEER_HOLD_MS } from '../../lib/limits.ts';
import { SOUNDING_DOUBLINGS_MAX, SOUNDING_LOOK_MS } from '../../lib/swarm/limits.ts';
import { Soundings } from '../../lib/swarm/soundings.ts';
import type { NodeId } from '../../lib/swarm/types.ts';
import { KEY, rig, shardWhere, type Rig } from './fixture.ts';

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

  it('asks half as often after each answer, down to a bound', () => {
    const soundings = new Soundings();
    const times: number[] = [];
    for (let nowMs = 0; times.length < SOUNDING_DOUBLINGS_MAX + 3; nowMs += 10) {
      if (soundings.due(['a'], SILENT_MS, nowMs).length === 0) continue;
      times.push(nowMs);
      assert.equal(soundings.over('a', true, nowMs), false);
    }
    const gaps = times.map((ms, at) => ms - (times[at - 1] ?? 0));
    assert.deepEqual(gaps, [100, 200, 400, 800, 800, 800]);
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
});

describe('swarm: nodes that hold requests and fall silent', () => {
  let made: Rig;
  const held: NodeId = '10.0.0.2:65002';

  /** Has this node ask `held`, the owner, for two shards. */
  beforeEach(() => {
    made = rig(4, 1);
    const { swarm } = made;
    const { index } = shardWhere(swarm, ([first]) => first === held);
    const other = shardWhere(
      swarm,
      ([first]) => first === held && swarm.fetching({ key: KEY, index }) === undefined,
    );
    swarm.want({ key: KEY, index }, null);
    swarm.want({ ...other, key: 'sha256:' + 'b'.repeat(64) }, null);
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
