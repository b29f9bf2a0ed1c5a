import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { programDir } from '../built-program.ts';

/** The modules of Node's own that a fresh process has loaded once `file` is imported. */
function loadedBy(file: string): string[] {
  // The thread's module serves at once, and fails where it has no worker data.
  const program =
    `await import(${JSON.stringify(file)}).catch(() => undefined);` +
    'console.log(JSON.stringify(process.moduleLoadList));process.exit(0)';
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  );
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as string[];
}

describe('workers/modules', function () {
  this.timeout(30_000);
  for (const file of [`${programDir}/lib/workers/pool.js`, `${programDir}/lib/commands/node.js`])
    it(`${file.slice(programDir.length + 1)} does not load Node's own undici`, () => {
      const loaded = loadedBy(file);
      assert.ok(loaded.includes('NativeModule net'), 'its modules are loaded');
      assert.ok(!loaded.includes('NativeModule internal/deps/undici/undici'));
    });
});
