import assert from 'node:assert/strict';
import { ManualClock } from '../../lib/clock.ts';
import { ShoalError } from '../../lib/errors.ts';
import { OUTAGE_ASK_MS, OUTAGE_MS } from '../../lib/limits.ts';
import { Outages } from '../../lib/registry/outages.ts';

describe('registry/outages', () => {
  let clock: ManualClock;
  let outages: Outages;
  beforeEach(() => {
    clock = new ManualClock();
    outages = new Outages(clock);
  });

  it('takes a registry to be down for a while after it said nothing, or until it says something', () => {
    for (const code of ['ORIGIN_UNREACHABLE', 'ORIGIN_TIMEOUT'] as const) {
      outages.note('r', new ShoalError(code, 'x'));
      clock.advance(OUTAGE_MS - 1);
      assert.equal(outages.isDown('r'), true);
      assert.equal(outages.isDown('other'), false);
      clock.advance(1);
      assert.equal(outages.isDown('r'), false);
    }
    for (const answer of [null, new ShoalError('ORIGIN_REFUSED', 'no', { status: 401 }), new ShoalError('ORIGIN_REFUSED', 'no', { status: 503 })]) {
      outages.note('r', new ShoalError('ORIGIN_TIMEOUT', 'x'));
      outages.note('r', answer);
      assert.equal(outages.isDown('r'), false);
    }
    outages.note('r', new ShoalError('ORIGIN_BROKEN', 'x'));
    assert.equal(outages.isDown('r'), false);
  });

  it('has it asked again once in a while', () => {
    assert.equal(outages.takeTurn('r'), false);
    outages.note('r', new ShoalError('ORIGIN_TIMEOUT', 'x'));
    assert.equal(outages.takeTurn('r'), false);
    clock.advance(OUTAGE_ASK_MS);
    assert.deepEqual([outages.takeTurn('r'), outages.takeTurn('r')], [true, false]);
  });
});
