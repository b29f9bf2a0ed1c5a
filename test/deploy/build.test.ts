import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from '../../deploy/release/build.ts';
import { cliPath, programDir } from '../built-program.ts';

describe('npm run build', () => {
  let dir: string;
  before(() => void (dir = mkdtempSync(join(tmpdir(), 'shoal-build-'))));
  after(() => rmSync(dir, { recursive: true }));

  it('leaves no TypeScript, and every relative path in quotes names a built file', () => {
    assert.deepEqual(globSync('**/*.ts', { cwd: programDir }), []);
    let paths = 0;
    for (const file of globSync('**/*.js', { cwd: programDir })) {
      const text = readFileSync(join(programDir, file), 'utf8');
      for (const [, path] of text.matchAll(
        /(?:from |import\(|new URL\()'(\.{1,2}\/[^']*\.\w+)'/g,
      )) {
        assert.ok(existsSync(join(programDir, dirname(file), path!)), `${file}: ${path}`);
        paths++;
      }
    }
    assert.ok(paths > 500, `${paths} paths`);
  });

  it('writes the same bytes again', () => {
    build(dir);
    const files = globSync('**/*', { cwd: programDir, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(programDir.length + 1));
    assert.ok(files.includes('lib/node.js') && files.includes('lib/telemetry/page/page.css'));
    for (const file of files)
      assert.ok(readFileSync(join(programDir, file)).equals(readFileSync(join(dir, file))), file);
  });

  it('ships the locked versions of what the program needs, and nothing of development', () => {
    const lock = JSON.parse(readFileSync(join(programDir, 'npm-shrinkwrap.json'), 'utf8')) as {
      packages: Record<string, { dependencies?: object }>;
    };
    const { dependencies } = JSON.parse(readFileSync(join(programDir, 'package.json'), 'utf8')) as {
      dependencies: object;
    };
    assert.deepEqual(lock.packages['']!.dependencies, dependencies);
    for (const name of Object.keys(dependencies)) assert.ok(lock.packages[`node_modules/${name}`]);
    for (const name of ['mocha', 'typescript', 'node', 'oxlint'])
      assert.equal(lock.packages[`node_modules/${name}`], undefined, name);
  });

  it('builds a program that runs on a read-only file system', () => {
    const help = execFileSync(process.execPath, [cliPath, 'up', '--help'], {
      env: { TMPDIR: '/nonexistent' },
      encoding: 'utf8',
    });
    assert.match(help, /^Usage: shoal up/);
  });
});
