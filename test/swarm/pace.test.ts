import assert from 'node:assert/strict';
import {
  LATE_FACTOR,
  LATE_FLOW_MIN,
  LATE_MS_MIN,
  LATE_SAMPLES_MIN,
} from '../../lib/swarm/limits.ts';
import { Pace } from '../../lib/swarm/pace.ts';

describe('swarm/pace', () => {
  it('is patient until it knows how long shards take', () => {
    const pace = new Pace();
    for (let at = 0; at < LATE_SAMPLES_MIN - 1; at++) pace.done(5, at);
    assert.equal(pace.lateMs, Infinity);
    pace.done(5, 10);
    assert.equal(pace.lateMs, LATE_MS_MIN);
  });

  it('calls late what takes a multiple of what shards take, and follows them', () => {
    const pace = new Pace();
    for (let at = 0; at < 200; at++) pace.done(1000, at);
    assert.ok(Math.abs(pace.lateMs - LATE_FACTOR * 1000) < 1);
    for (let at = 0; at < 200; at++) pace.done(100, at);
    assert.ok(Math.abs(pace.lateMs - LATE_FACTOR * 100) < 1);
  });

  it('counts what has overtaken a shard, by the order in which shards were begun', () => {
    const pace = new Pace();
    const [first, second, third] = [pace.takeTurn(), pace.takeTurn(), pace.takeTurn()];
    pace.done(1, 100, second);
    pace.done(1, 200, third);
    assert.equal(pace.overtakers(first, 0), 2);
    assert.equal(pace.overtakers(first, 150), 1);
    assert.equal(pace.overtakers(second, 0), 1);
    assert.equal(pace.overtakers(third, 0), 0);
  });

  it('follows the line: windows, turns and holds by the time between shards', () => {
    const slow = new Pace();
    const fast = new Pace();
    assert.equal(slow.windowShards(12), 12, 'nothing is known yet');
    assert.equal(slow.uploadsAtOnce, 1);
    for (let at = 0; at < 100; at++) {
      slow.done(1600, at * 800);
      fast.done(4, at * 2);
    }
    assert.ok(slow.windowShards(12) <= 10 && fast.windowShards(12) === 24);
    assert.equal(slow.uploadsAtOnce, 1);
    assert.ok(fast.uploadsAtOnce >= 10);
    assert.ok(slow.holdMs > 3000 && fast.holdMs === 1000);
  });

  it('knows whether others have come since', () => {
    const pace = new Pace();
    for (let at = 1; at <= LATE_FLOW_MIN; at++) pace.done(1, at * 10);
    assert.equal(pace.flowedSince(9), true);
    assert.equal(pace.flowedSince(10), false);
  });
});
