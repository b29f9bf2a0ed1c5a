import assert from 'node:assert/strict';
import { UPLINK_TRIAL_MS, UPLINK_WINDOW_MS } from '../../lib/front/limits.ts';
import { Uplink } from '../../lib/front/uplink.ts';

const STEP_MS = 10;

describe('front/uplink', () => {
  let nowMs: number;
  let uplink: Uplink;
  beforeEach(() => {
    nowMs = 1000;
    uplink = new Uplink();
    uplink.begin(nowMs);
  });

  /** Writes at a steady rate; whether there was room at the end. */
  const sends = (bytesPerMs: number, forMs = UPLINK_WINDOW_MS): boolean => {
    for (let ms = 0; ms < forMs; ms += STEP_MS) {
      uplink.wrote(bytesPerMs * STEP_MS, nowMs, true);
      nowMs += STEP_MS;
    }
    return uplink.hasRoom(nowMs);
  };

  it('has room when receivers take half of what the line has brought', () => {
    assert.equal(sends(3000), false);
    assert.equal(sends(3000), false);
    assert.equal(sends(1500), true);
  });

  it('looks at a whole window after each upload that it lets go', () => {
    sends(3000);
    assert.equal(sends(1500), true);
    assert.equal(uplink.hasRoom(nowMs), false);
    assert.equal(sends(3000), false, 'the line is full with one more');
  });

  it('is not deceived by sockets that fill their buffers', () => {
    const buffersBytes = 3 * 250_000;
    for (let windows = 0; windows < 20; windows++) {
      if (windows % 3 === 0) uplink.wrote(buffersBytes, nowMs, false);
      assert.equal(sends(3000), false, `window ${windows}`);
    }
  });

  it('lets one after the other go while each brings something', () => {
    sends(3000);
    assert.deepEqual(
      [500, 700, 900, 1200, 1500].map((rate) => sends(rate)),
      Array(5).fill(true),
    );
  });

  it('waits with the next where the last one brought nothing', () => {
    sends(3000);
    assert.equal(sends(1500), true);
    let waitedMs = 0;
    while (!sends(1500)) waitedMs += UPLINK_WINDOW_MS;
    assert.ok(waitedMs >= UPLINK_TRIAL_MS - UPLINK_WINDOW_MS, `after ${waitedMs} ms`);
  });

  it('does not take a pause for room', () => {
    sends(3000);
    nowMs += 10 * UPLINK_WINDOW_MS;
    uplink.begin(nowMs);
    assert.equal(uplink.hasRoom(nowMs), false);
    assert.equal(sends(3000), false);
  });

  it('forgets a rate that the line does not reach any more', () => {
    sends(10_000);
    const room = Array.from({ length: 300 }, () => sends(1000));
    const last = room.lastIndexOf(true);
    assert.ok(last > 10 && last < 280, `the last upload went in window ${last}`);
  });
});
