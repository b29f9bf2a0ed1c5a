import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { programDir } from '../built-program.ts';

const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  engines: { node: string };
};
const minimum = /^>=(\d+\.\d+)/.exec(engines.node)![1]!;

/** Runs an entry file on this Node, which says that it is `version`. */
function runAs(version: string, entry: string): { status: number | null; stderr: string } {
  const pretend =
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: ` +
    `'${version}' } })`;
  return spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, entry, '--version'],
    { encoding: 'utf8' },
  );
}

describe('the version of Node', () => {
  for (const entry of ['lib/shoal.js', join(programDir, 'lib/shoal.js')]) {
    const layout = entry.startsWith('lib') ? 'a checkout' : 'the built package';
    it(`is checked before any other module is loaded, in ${layout}`, () => {
      for (const version of ['14.21.3', '20.20.2', '22.17.1']) {
        const { status, stderr } = runAs(version, entry);
        assert.equal(status, 1);
        assert.match(
          stderr,
          /^shoal: Node\.js [\d.]+ is too old; Shoal needs [\d.]+ or later\..*\n$/,
        );
        assert.ok(stderr.includes(version) && stderr.includes(minimum), stderr);
      }
      assert.deepEqual(runAs(`${minimum}.0`, entry).stderr, '');
    });
  }

  it('is the same minimum in package.json, .nvmrc, README.md', () => {
    assert.equal(readFileSync('.nvmrc', 'utf8').trim(), minimum.split('.')[0]);
    assert.ok(readFileSync('README.md', 'utf8').includes(`Node.js ${minimum}`));
  });
});
