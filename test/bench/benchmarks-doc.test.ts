import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { page, PAGE, plot, PLOT, recorded } from '../../native-bench/benchmarks-doc.ts';

describe('docs/BENCHMARKS.md', () => {
  it('is what native-bench/benchmarks-doc.ts writes', () => {
    const recording = recorded();
    assert.equal(readFileSync(PAGE, 'utf8'), page(recording));
    assert.equal(readFileSync(PLOT, 'utf8'), plot(recording));
  });

  it('has a row for each system of each scenario', () => {
    const text = page(recorded());
    for (const { scenario, rows } of recorded().scenarios)
      for (const { system } of rows)
        assert.ok(text.includes(`| ${system} |`), `${scenario}: ${system}`);
  });
});
