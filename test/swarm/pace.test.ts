import assert from 'node:assert/strict';
import {
  LATE_FACTOR,
  LATE_FLOW_MIN,
  LATE_MS_MIN,
  LATE_SAMPLES_MIN,
  LATE_UNKNOWN_MS,
} from '../../lib/swarm/limits.ts';
import { Pace } from '../../lib/swarm/pace.ts';

describe('swarm/pace', () => {
  it('is patient until it knows how long shards take', () => {
    const pace = new Pace();
    for (let at = 0; at < LATE_SAMPLES_MIN - 1; at++) pace.done(5, at);
    assert.equal(pace.lateMs, LATE_UNKNOWN_MS);
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

  it('knows whether others have come since', () => {
    const pace = new Pace();
    for (let at = 1; at <= LATE_FLOW_MIN; at++) pace.done(1, at * 10);
    assert.equal(pace.flowedSince(9), true);
    assert.equal(pace.flowedSince(10), false);
  });
});
