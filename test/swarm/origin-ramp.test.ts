import assert from 'node:assert/strict';
import { ORIGIN_RAMP_PROBE_ROUNDS, ORIGIN_REQUESTS_MIN } from '../../lib/swarm/limits.ts';
import { OriginRamp } from '../../lib/swarm/origin-ramp.ts';

const REQUESTS_MAX = 16;

interface Line {
  /** Until the first byte of an answer, and what one shard takes over the whole line, in ms. */
  firstByteMs: number;
  shardMs: number;
}

/** Reads `shards` over a line that its requests share equally; the most requests in each half. */
function read(ramp: OriginRamp, line: Line, shards: number): { first: number; second: number } {
  const STEP_MS = Math.min(line.firstByteMs, line.shardMs) / 20;
  let nowMs = 0;
  let [begun, ended] = [0, 0];
  let under: { begunMs: number; dueMs: number; leftMs: number }[] = [];
  const most = { first: 0, second: 0 };
  while (ended < shards) {
    while (begun < shards && under.length < ramp.requests) {
      ramp.begun(nowMs);
      begun++;
      under.push({
        begunMs: nowMs,
        dueMs: nowMs + line.firstByteMs,
        leftMs: line.shardMs,
      });
    }
    const half = ended < shards / 2 ? 'first' : 'second';
    most[half] = Math.max(most[half], under.length);
    nowMs += STEP_MS;
    const sending = under.filter(({ dueMs }) => dueMs <= nowMs);
    for (const request of sending) request.leftMs -= STEP_MS / sending.length;
    for (const request of under.filter(({ leftMs }) => leftMs <= 0)) {
      ended++;
      const waitShare = line.firstByteMs / (nowMs - request.begunMs);
      ramp.ended(nowMs, 1, begun < shards, waitShare);
    }
    under = under.filter(({ leftMs }) => leftMs > 0);
  }
  return most;
}

describe('swarm/origin-ramp', () => {
  it('keeps few requests on a slow line, so that the first shard does not wait for the others', () => {
    const most = read(new OriginRamp(REQUESTS_MAX), { firstByteMs: 20, shardMs: 1_600 }, 100);
    assert.equal(most.second, 2 * ORIGIN_REQUESTS_MIN, 'twice as many is tried now and then');
    const ramp = new OriginRamp(REQUESTS_MAX);
    read(ramp, { firstByteMs: 20, shardMs: 1_600 }, 7);
    assert.equal(ramp.requests, ORIGIN_REQUESTS_MIN);
  });

  it('takes as many as a fast line with a late first byte needs', () => {
    const ramp = new OriginRamp(REQUESTS_MAX);
    read(ramp, { firstByteMs: 50, shardMs: 2 }, 100);
    assert.equal(ramp.requests, REQUESTS_MAX);
  });

  it('tries again whether more are faster by now', () => {
    const ramp = new OriginRamp(REQUESTS_MAX);
    read(ramp, { firstByteMs: 20, shardMs: 1_600 }, 20);
    assert.equal(ramp.requests, ORIGIN_REQUESTS_MIN);
    read(ramp, { firstByteMs: 50, shardMs: 2 }, 20 * ORIGIN_RAMP_PROBE_ROUNDS);
    assert.equal(ramp.requests, REQUESTS_MAX);
  });

  it('learns nothing from requests that no others wait for', () => {
    const ramp = new OriginRamp(REQUESTS_MAX);
    for (let at = 0; at < 50; at++) {
      ramp.begun(at * 100);
      ramp.ended(at * 100 + 1, 1, false, 0.9);
    }
    assert.equal(ramp.requests, ORIGIN_REQUESTS_MIN);
  });
});
