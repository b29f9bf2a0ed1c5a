import assert from 'node:assert/strict';
import { UPLINK_WINDOW_MS } from '../../lib/front/limits.ts';
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
      uplink.wrote(bytesPerMs * STEP_MS, nowMs);
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

  it('is not deceived by a socket that fills its buffer', () => {
    const bufferBytes = 200_000;
    uplink.wrote(bufferBytes, nowMs);
    for (let windows = 0; windows < 20; windows++)
      assert.equal(sends(3000), false, `window ${windows}`);
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
    let windows = 0;
    while (sends(1000)) assert.ok(++windows < 300, 'the old rate still counts');
    assert.ok(windows > 10, `after ${windows} windows`);
  });
});
