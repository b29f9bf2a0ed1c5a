import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import { RepeatCache } from '../lib/repeat-cache.ts';

describe('repeat-cache', () => {
  it('answers as an LRU cache does, whatever is asked, kept and evicted', () => {
    const step = fc.record({
      what: fc.constantFrom('get', 'get', 'get', 'set', 'delete'),
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      bytes: fc.integer({ min: 1, max: 12 }),
    });
    const options = {
      max: 3,
      maxSize: 10,
      sizeCalculation: (value: { bytes: number }): number => value.bytes,
    };
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const repeat = new RepeatCache<{ bytes: number }>(options);
        const plain = new LRUCache<string, { bytes: number }>(options);
        for (const { what, key, bytes } of steps) {
          if (what === 'get') assert.equal(repeat.get(key), plain.get(key));
          else if (what === 'delete') {
            repeat.delete(key);
            plain.delete(key);
          } else {
            const value = { bytes };
            repeat.set(key, value);
            plain.set(key, value);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
