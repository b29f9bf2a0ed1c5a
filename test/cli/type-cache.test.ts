import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../../lib/version.ts';
import { cliPath, Running } from './process.ts';

describe('type-cache', () => {
  let dir: string;
  let own: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'shoal-types-'));
    own = join(dir, `shoal-${process.getuid!()}`);
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  async function version(script = cliPath): Promise<string> {
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => name !== 'NODE_COMPILE_CACHE'),
    ) as Record<string, string>;
    const shoal = new Running(script, ['--version'], {
      ...env,
      NODE_COMPILE_CACHE: '',
      TMPDIR: dir,
    });
    assert.equal(await shoal.exit(), 0, shoal.stderr);
    assert.equal(shoal.stderr, '', 'not a word about it');
    return shoal.stdout.trim();
  }

  /** Makes the cached form of lib/version.ts one that tells another version. */
  function tamper(): void {
    const files = readdirSync(join(own, 'stripped')).map((name) => join(own, 'stripped', name));
    const file = files.find((path) => readFileSync(path, 'utf8').includes('packageFile.version;'))!;
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('packageFile.version;', '"from the cache";'),
    );
  }

  it('runs what it stripped before', async () => {
    assert.equal(await version(), VERSION);
    tamper();
    assert.equal(await version(), 'from the cache');
    assert.equal(
      await version(fileURLToPath(new URL('../../lib/cli.ts', import.meta.url))),
      'from the cache',
    );
  });

  it('runs nothing from a directory that others may write to', async () => {
    await version();
    tamper();
    for (const path of [own, join(own, 'stripped')]) {
      chmodSync(path, 0o777);
      assert.equal(await version(), VERSION, path);
      chmodSync(path, 0o700);
    }
  });

  it('starts without a directory', async () => {
    writeFileSync(own, 'a file in its place');
    assert.equal(await version(), VERSION);
    rmSync(own);
    mkdirSync(own);
    writeFileSync(join(own, 'stripped'), '');
    assert.equal(await version(), VERSION);
  });
});
