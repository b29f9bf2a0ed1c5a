import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';

describe('the scripts of package.json', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>;
  };

  for (const [name, script] of Object.entries(scripts))
    it(`${name} names files and folders that exist`, () => {
      const paths = script.split(' ').filter((word) => word.includes('/'));
      assert.deepEqual(
        paths.filter((path) => !existsSync(path)),
        [],
      );
    });
});
