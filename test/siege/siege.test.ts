import assert from 'node:assert/strict';
import { Siege } from './siege.ts';

describe('siege: clients, faults and attackers at once', function () {
  this.timeout(240_000);

  it('gives right bytes in time, nothing to strangers, and everything back', async () => {
    const report = await new Siege({ seconds: 15, agents: 3, clients: 6, attackers: 3 }).run();
    assert.deepEqual(report.violations, []);
    assert.ok(report.pulls.right > 0 && report.attacks > 0, JSON.stringify(report));
  });
});
