import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { OUTAGE_ASK_MS, OUTAGE_MS } from '../../lib/origin/limits.ts';
import { Outages } from '../../lib/origin/outages.ts';

const URL = 'https://r.example/v2/';
const OTHER_URL = 'https://other.example/v2/';

describe('registry/outages', () => {
  let clock: ManualClock;
  let outages: Outages;
  beforeEach(() => {
    clock = new ManualClock();
    outages = new Outages(clock);
  });

  it('takes a registry to be down for a while after it said nothing, or until it says something', () => {
    for (const code of ['ORIGIN_UNREACHABLE', 'ORIGIN_TIMEOUT'] as const) {
      outages.note(URL, new ShoalError(code, 'x'));
      clock.advance(OUTAGE_MS - 1);
      assert.equal(outages.isDown(URL), true);
      assert.equal(outages.isDown(OTHER_URL), false);
      clock.advance(1);
      assert.equal(outages.isDown(URL), false);
    }
    for (const answer of [
      null,
      new ShoalError('ORIGIN_REFUSED', 'no', { status: 401 }),
      new ShoalError('ORIGIN_REFUSED', 'no', { status: 503 }),
    ]) {
      outages.note(URL, new ShoalError('ORIGIN_TIMEOUT', 'x'));
      outages.note(URL, answer);
      assert.equal(outages.isDown(URL), false);
    }
    outages.note(URL, new ShoalError('ORIGIN_BROKEN', 'x'));
    assert.equal(outages.isDown(URL), false);
  });

  it('knows a registry by scheme, host and port, not by path', () => {
    outages.note('http://r.example/v2/', new ShoalError('ORIGIN_UNREACHABLE', 'x'));
    outages.note('https://r.example:444/v2/', new ShoalError('ORIGIN_UNREACHABLE', 'x'));
    assert.equal(outages.isDown(URL), false);
    assert.equal(outages.isDown('http://r.example:80/v2/app/blobs/x?y'), true);
  });

  it('has it asked again once in a while', () => {
    assert.equal(outages.takeTurn(URL), false);
    outages.note(URL, new ShoalError('ORIGIN_TIMEOUT', 'x'));
    assert.equal(outages.takeTurn(URL), false);
    clock.advance(OUTAGE_ASK_MS);
    assert.deepEqual([outages.takeTurn(URL), outages.takeTurn(URL)], [true, false]);
  });
});
