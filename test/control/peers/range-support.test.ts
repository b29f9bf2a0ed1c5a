import assert from 'node:assert/strict';
import { ManualClock } from '../../../lib/clock.ts';
import { RANGE_SUPPORT_TTL_MS } from '../../../lib/control/peers/limits.ts';
import { RangeMemory } from '../../../lib/control/peers/range-support.ts';

describe('control/range-support', () => {
  let clock: ManualClock;
  let memory: RangeMemory;

  beforeEach(() => {
    clock = new ManualClock();
    memory = new RangeMemory(clock);
  });

  it('knows of each object what its host answered, and guesses for the others', () => {
    memory.note('held', 'cache', 'parts');
    assert.deepEqual([memory.of('held', 'cache'), memory.of('other', 'cache')], ['parts', 'parts']);
    memory.note('fetched', 'cache', 'whole');
    assert.deepEqual(
      ['held', 'fetched', 'other'].map((object) => memory.of(object, 'cache')),
      ['parts', 'whole', 'unknown'],
    );
    assert.equal(memory.ofHost('elsewhere'), 'unknown');
  });

  it('forgets after a while what an origin could not do', () => {
    memory.note('blob', 'cache', 'whole');
    assert.equal(memory.ofHost('cache'), 'whole');
    clock.advance(RANGE_SUPPORT_TTL_MS);
    assert.deepEqual([memory.of('blob', 'cache'), memory.ofHost('cache')], ['unknown', 'unknown']);
    memory.note('blob', 'cache', 'parts');
    assert.equal(memory.of('blob', 'cache'), 'parts');
  });

  it('takes the newer answer of an object', () => {
    memory.note('blob', 'cache', 'whole');
    memory.note('blob', 'cache', 'parts');
    assert.equal(memory.of('blob', 'cache'), 'parts');
  });
});
