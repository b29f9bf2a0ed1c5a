import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../../lib/swarm/', import.meta.url);

describe('swarm: the core is pure', () => {
  for (const file of readdirSync(folder)) {
    it(`${file} imports only swarm, limits and errors; no clock, no randomness`, () => {
      const text = readFileSync(new URL(file, folder), 'utf8');
      for (const [, from] of text.matchAll(/\bfrom '([^']+)'/g))
        assert.match(from!, /^(?:\.\/[a-z-]+\.ts|\.\.\/(?:limits|errors)\.ts)$/);
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      assert.doesNotMatch(code, /\bimport\(|\brequire\b|\bprocess\b|\bglobalThis\b/);
      assert.doesNotMatch(code, /\bDate\b|\bMath\.random\b|\bperformance\b/);
      assert.doesNotMatch(code, /\bsetTimeout\b|\bsetInterval\b/);
    });
  }
});
