import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { renderConfigDoc } from '../../lib/config/config-doc.ts';

describe('docs/CONFIG.md', () => {
  it('is what its generator writes', () => {
    const file = readFileSync(new URL('../../docs/CONFIG.md', import.meta.url), 'utf8');
    assert.equal(file, renderConfigDoc(), 'run: node lib/config/config-doc.ts');
  });

  it('says of every key what is allowed and what it means', () => {
    const rows = renderConfigDoc()
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    assert.ok(rows.length > 0);
    for (const row of rows) assert.match(row, /^\| `\w+` \| `.+` \| .+ \| .+ \|$/);
  });
});
