import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ablate, rulesNamed, tableRow } from '../../native-bench/sim/ablation.ts';
import { without } from '../../native-bench/sim/leave-out.ts';
import { RULES } from '../../native-bench/sim/rules.ts';

describe('sim: rules left out', () => {
  it('changes the source of lib/swarm for each rule', () => {
    for (const rule of RULES) assert.ok(without(rule).includes(rule.to), rule.name);
    assert.throws(() => without({ ...RULES[0]!, from: 'not in the file' }), /rules\.ts/);
  });

  it('shows a pull that is worse without the rule', () => {
    // The quickest pull; docs/SWARM.md has all.
    const [rule] = rulesNamed('lead');
    const result = ablate(rule!);
    assert.ok(result.isNeeded, tableRow(result));
    assert.throws(() => rulesNamed('no-such-rule'), /known rules: .*lead/);
  });

  it('has a row in docs/SWARM.md for each rule', () => {
    const page = readFileSync(new URL('../../docs/SWARM.md', import.meta.url), 'utf8');
    for (const { name, says, pull } of RULES)
      assert.ok(page.includes(`| \`${name}\` | ${says} | \`${pull}\` |`), name);
  });
});
