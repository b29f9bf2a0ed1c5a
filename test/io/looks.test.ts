import assert from 'node:assert/strict';
import { Looks } from '../../lib/io/looks.ts';
import { until } from '../telemetry/until.ts';

describe('io/looks', () => {
  it('looks after everything that was added, and only until it is removed', async () => {
    const looks = new Looks();
    const seen = [0, 0];
    const removeFirst = looks.add(() => void seen[0]!++);
    const removeSecond = looks.add(() => {
      seen[1]!++;
      removeSecond();
    });
    await until(() => seen[0]! >= 2, 'two looks');
    assert.equal(seen[1], 1);
    removeFirst();
    removeFirst();
    assert.equal(looks.size, 0);
  });

  it('does not call what a look before it removed', async () => {
    const looks = new Looks();
    let removed = 0;
    let calls = 0;
    const remove = looks.add(() => {
      removeOther();
      calls++;
    });
    const removeOther = looks.add(() => void removed++);
    await until(() => calls >= 2, 'two looks');
    remove();
    assert.equal(removed, 0);
  });
});
