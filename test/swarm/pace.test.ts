import assert from 'node:assert/strict';
import { PEER_HOLD_MS, READ_WINDOW_SHARDS, SHARD_BYTES } from '../../lib/limits.ts';
import {
  ANSWER_MS_MIN,
  LATE_FACTOR,
  LATE_FLOW_MIN,
  LATE_MS_MIN,
  LATE_SAMPLES_MIN,
  SILENCE_MS_MAX,
  SILENCE_SLOW_LINE_MS_MAX,
} from '../../lib/swarm/limits.ts';
import { Pace } from '../../lib/swarm/pace.ts';

describe('swarm/pace', () => {
  it('is patient until it knows how long shards take', () => {
    const pace = new Pace();
    for (let at = 0; at < LATE_SAMPLES_MIN - 1; at++) pace.done(at, 5, at);
    assert.equal(pace.lateMs, Infinity);
    pace.done(9, 5, 10);
    assert.equal(pace.lateMs, LATE_MS_MIN);
  });

  it('calls late what takes a multiple of what shards take, and follows them', () => {
    const pace = new Pace();
    for (let at = 0; at < 200; at++) pace.done(at, 1000, at);
    assert.ok(Math.abs(pace.lateMs - LATE_FACTOR * 1000) < 1);
    for (let at = 0; at < 200; at++) pace.done(at, 100, at);
    assert.ok(Math.abs(pace.lateMs - LATE_FACTOR * 100) < 1);
  });

  it('counts what has overtaken a shard, by the order in which shards are sent', () => {
    const pace = new Pace();
    pace.done(5, 1, 100);
    pace.done(7, 1, 200);
    assert.equal(pace.overtakers(4, 0), 2);
    assert.equal(pace.overtakers(4, 150), 1);
    assert.equal(pace.overtakers(5, 0), 1);
    assert.equal(pace.overtakers(7, 0), 0);
  });

  /** Brings `shards` in order over a line that needs `shardMs` for each, in pieces. */
  function bring(pace: Pace, shardMs: number, shards: number, startMs = 0): number {
    const PIECES = 32;
    let nowMs = startMs;
    for (let index = 0; index < shards; index++) {
      for (let piece = 0; piece < PIECES; piece++)
        pace.received(SHARD_BYTES / PIECES, (nowMs += shardMs / PIECES));
      pace.done(index, nowMs - startMs, nowMs);
    }
    return nowMs;
  }

  it('does not call late what waits its turn in a window on a slow line', () => {
    const pace = new Pace();
    bring(pace, 1_000, 10);
    assert.ok(pace.lateMs > READ_WINDOW_SHARDS * 1_000);
  });

  it('follows the line: turns and holds by the time of a shard', () => {
    const slow = new Pace();
    const fast = new Pace();
    assert.equal(slow.uploadsAtOnce, 1, 'nothing is known yet');
    bring(slow, 800, 20);
    bring(fast, 2, 200);
    assert.ok(Math.abs(slow.intervalMs - 800) < 50 && Math.abs(fast.intervalMs - 2) < 0.2);
    assert.equal(slow.uploadsAtOnce, 1);
    assert.ok(fast.uploadsAtOnce >= 10);
    assert.ok(slow.holdMs(9) > 10_000 && fast.holdMs(9) === PEER_HOLD_MS);
  });

  it('holds briefly at first and longer each time, and hears of a late answer as TCP does', () => {
    const pace = new Pace();
    assert.deepEqual(
      [0, 1, 2].map((times) => pace.holdMs(times)),
      [150, 750, 3750],
    );
    assert.equal(pace.silenceMs, SILENCE_MS_MAX, 'no answer has come yet');
    for (let at = 0; at < 50; at++) pace.answered(1);
    assert.equal(pace.silenceMs, SILENCE_MS_MAX, 'the pull begins');
    bring(pace, 20, 50);
    assert.equal(pace.silenceMs, ANSWER_MS_MIN);
    for (let at = 0; at < 50; at++) pace.answered(at % 2 === 0 ? 100 : 200);
    assert.ok(pace.silenceMs > 250 && pace.silenceMs < 500, `${pace.silenceMs}`);
    const slow = new Pace();
    bring(slow, 800, 20);
    assert.ok(Math.abs(slow.holdMs(0) - 4 * 800) < 400, 'follows the line');
  });

  it('does not take a pause for a slow line', () => {
    const pace = new Pace();
    const nowMs = bring(pace, 20, 50);
    const knownMs = pace.intervalMs;
    for (let stall = 1; stall < 20; stall++) {
      pace.received(100_000, nowMs + stall * 2_000);
      pace.done(50 + stall, 2_000, nowMs + stall * 2_000);
    }
    assert.equal(pace.intervalMs, knownMs);
    assert.equal(pace.holdMs(9), PEER_HOLD_MS);
  });

  it('lets an answer be late by the time of a shard on a slow line', () => {
    const pace = new Pace();
    for (let at = 0; at < 20; at++) pace.answered(1);
    bring(pace, 800, 5);
    assert.ok(Math.abs(pace.silenceMs - 800) < 50, `${pace.silenceMs} ms`);
    const slower = new Pace();
    bring(slower, 3_000, 5);
    assert.equal(slower.silenceMs, SILENCE_SLOW_LINE_MS_MAX);
  });

  it('corrects what the first bytes, which had gathered in a socket, seemed to show', () => {
    const pace = new Pace();
    pace.received(1, 0);
    pace.received(SHARD_BYTES / 2, 60);
    assert.ok(pace.intervalMs < 200, 'a guess is better than none');
    bring(pace, 1_600, 4, 60);
    assert.ok(Math.abs(pace.intervalMs - 1_600) < 500, `${pace.intervalMs} ms`);
  });

  it('follows a line that becomes slower', () => {
    const pace = new Pace();
    const nowMs = bring(pace, 20, 50);
    bring(pace, 200, 100, nowMs);
    assert.ok(Math.abs(pace.intervalMs - 200) < 10);
  });

  it('knows whether others have come since', () => {
    const pace = new Pace();
    for (let at = 1; at <= LATE_FLOW_MIN; at++) pace.done(at, 1, at * 10);
    assert.equal(pace.flowedSince(9), true);
    assert.equal(pace.flowedSince(10), false);
  });
});
