import assert from 'node:assert/strict';
import {
  ARROWS,
  cyclesIn,
  FILE_LINES_MAX,
  impurities,
  leftovers,
  longFiles,
  LINE_COLUMNS_MAX,
  machinePaths,
  wideLines,
  wrongArrows,
} from './source-rules.ts';
import { forbiddenPlaces, sourceFiles } from './source-tree.ts';

const file = (path: string, text: string) => [{ path, text }];

describe('check: the rules can fail', () => {
  it('arrows: a folder never imports what imports it, nor anything outside lib/', () => {
    assert.equal(
      wrongArrows(file('lib/registry/x.ts', "import { a } from '../front/proxy.ts';")).length,
      1,
    );
    assert.equal(
      wrongArrows(file('lib/cache/x.ts', "export { a } from '../swarm/plan.ts';")).length,
      1,
    );
    assert.equal(
      wrongArrows(file('lib/front/x.ts', "const a = await import('../node.ts');")).length,
      1,
    );
    assert.equal(wrongArrows(file('lib/errors.ts', "import './cache/plan.ts';")).length, 1);
    assert.equal(
      wrongArrows(file('lib/front/x.ts', "import { a } from '../../test/programs.ts';")).length,
      1,
    );
    assert.deepEqual(
      wrongArrows(
        file(
          'lib/front/x.ts',
          "import { a } from '../registry/route.ts';\nimport { b } from " +
            "'../errors.ts';\nimport { c } from './y.ts';\n// from '../node.ts'",
        ),
      ),
      [],
    );
    assert.deepEqual(cyclesIn({ a: [], b: ['a'] }), []);
    assert.deepEqual(cyclesIn({ a: ['b'], b: ['a'] }), ['a -> b']);
  });

  it('pure core: no I/O, no clock, no randomness', () => {
    for (const text of [
      "import net from 'node:net';",
      "import { x } from 'undici';",
      'const now = Date.now();',
      'new Date()',
      'Math.random()',
      'performance.now()',
      'setTimeout(f, 1)',
    ]) {
      assert.equal(impurities(file('lib/swarm/x.ts', text)).length, 1, text);
      assert.equal(impurities(file('lib/front/x.ts', text)).length, 0, text);
    }
    assert.deepEqual(
      impurities(
        file(
          'lib/cache/x.ts',
          "// Date\n/* Math.random */\nimport { createHash } from 'node:crypto';\nconst " +
            'updated = 1;',
        ),
      ),
      [],
    );
  });

  it('sizes, leftovers, places', () => {
    assert.equal(longFiles(file('lib/x.ts', '\n'.repeat(FILE_LINES_MAX + 1))).length, 1);
    assert.equal(longFiles(file('lib/x.ts', '\n'.repeat(FILE_LINES_MAX))).length, 0);
    assert.equal(wideLines(file('lib/x.ts', 'x '.repeat(LINE_COLUMNS_MAX / 2 + 1))).length, 1);
    assert.equal(wideLines(file('lib/x.ts', 'x '.repeat(LINE_COLUMNS_MAX / 2))).length, 0);
    const title = 'says more than it must. '.repeat(4);
    for (const line of [`  it('${title}', () => {`, `  /${title}/,`, `  '${'x'.repeat(99)}',`])
      assert.equal(wideLines(file('test/x.test.ts', line)).length, 1, line);
    assert.equal(leftovers(file('lib/x.ts', `// ${'todo'.toUpperCase()} later`)).length, 1);
    assert.equal(leftovers(file('test/x.test.ts', `it.${'only'}()`)).length, 1);
    assert.equal(
      leftovers(
        file('test/x.test.ts', `await new Promise((resolve) => ${'setTimeout'}(resolve, 5))`),
      ).length,
      1,
    );
    assert.equal(
      machinePaths(file('README.md', 'cd /home/me/shoal'), ['/home/me/shoal']).length,
      1,
    );
  });
});

describe('check: the source tree', () => {
  const files = sourceFiles();
  it('keeps the arrows', () => assert.deepEqual([...cyclesIn(ARROWS), ...wrongArrows(files)], []));
  it('keeps the core pure', () => assert.deepEqual(impurities(files), []));
  it('keeps files short', () => assert.deepEqual(longFiles(files), []));
  it('keeps lines narrow', () => assert.deepEqual(wideLines(files), []));
  it('leaves nothing unfinished', () => assert.deepEqual(leftovers(files), []));
  it('names no place of this machine', () =>
    assert.deepEqual(machinePaths(files, forbiddenPlaces()), []));
});
