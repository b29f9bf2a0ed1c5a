import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Of, write } from '../../deploy/release/files.ts';
import { ImageLayout } from '../../deploy/release/image.ts';
import { manPage } from '../../deploy/release/man-page.ts';
import { systemPackages } from '../../deploy/release/system-packages.ts';
import { describedProgram } from '../../lib/commands/program.ts';
import { VERSION } from '../../lib/version.ts';
import { needs } from '../programs.ts';
import { DebRoot, RpmRoot } from './package-roots.ts';

const DATE = 1_700_000_000;

/**
 * How artefacts are packed, with a small program in them. `npm run release -- --verify` tests the
 * real ones.
 */
describe('packages of a release', function () {
  this.timeout(120_000);
  let dir: string;
  const made = (name: string): string => join(dir, 'a/out', name);

  /** Packs the small program under `name`, in an environment of its own. */
  function pack(name: string, umask: number, zone: string): void {
    const [work, out] = [join(dir, name, 'work'), join(dir, name, 'out')];
    for (const directory of [work, out]) mkdirSync(directory, { recursive: true });
    const before = { umask: process.umask(umask), zone: process.env['TZ'] };
    process.env['TZ'] = zone;
    try {
      const program = join(work, 'program');
      // Written in another order, a later run has other times and inodes.
      const files = ['lib/shoal.js', 'LICENSE.node', 'node_modules/a/package.json'];
      for (const file of name === 'a' ? files : files.reverse())
        write(join(program, file), '{"name":"a","version":"1.0.0"}');
      write(
        join(program, 'node'),
        '#!/bin/sh\necho started "$@"\necho by "$SHOAL_LAUNCHER"\n',
        0o755,
      );
      const packaging = { work, out, date: DATE, level: 1 };
      systemPackages(program, 'amd64', packaging);
      const layout = new ImageLayout(join(work, 'layout'), packaging);
      layout.add('amd64', program);
      layout.pack(join(out, 'image.tar'));
    } finally {
      process.umask(before.umask);
      if (before.zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before.zone;
    }
  }

  before(function () {
    needs(this, 'dpkg-deb', 'rpmbuild', 'apt-get');
    dir = mkdtempSync(join(tmpdir(), 'shoal-packages-'));
    pack('a', 0o022, 'UTC');
    pack('b', 0o077, 'Asia/Tokyo');
  });
  after(() => {
    if (dir !== undefined) rmSync(dir, { recursive: true });
  });

  it('have the same bytes when packed again in another environment', () => {
    const names = globSync('*', { cwd: join(dir, 'a/out') }).sort();
    assert.equal(names.length, 4, names.join());
    for (const name of names)
      assert.equal(sha256Of(made(name)), sha256Of(join(dir, 'b/out', name)), name);
  });

  for (const [kind, archive, Root] of [
    ['deb', `shoal_${VERSION}_amd64.deb`, DebRoot],
    ['rpm', `shoal-${VERSION}-1.x86_64.rpm`, RpmRoot],
  ] as const)
    it(`the .${kind} installs a program that starts, and is removed without rest`, () => {
      const tree = join(dir, kind);
      mkdirSync(tree);
      const root = new Root(tree);
      root.install(made(archive));
      const shoal = join(tree, 'usr/bin/shoal');
      const printed = execFileSync(shoal, ['agent'], { encoding: 'utf8' });
      assert.match(printed, /^started .*\/usr\/lib\/shoal\/lib\/shoal\.js agent$/m);
      for (const file of ['lib/systemd/system/shoal-root.service', 'share/man/man1/shoal.1.gz'])
        assert.deepEqual(globSync(`usr/${file}`, { cwd: tree }), [`usr/${file}`]);
      root.remove();
    });

  it('the .rpm says what it is and needs', () => {
    const rpm = (...args: string[]) =>
      execFileSync('rpm', ['-qp', ...args, made(`shoal-${VERSION}-1.x86_64.rpm`)], {
        encoding: 'utf8',
      });
    assert.equal(
      rpm('--queryformat', '%{NAME} %{VERSION} %{ARCH} %{LICENSE} %{BUILDHOST} %{BUILDTIME}'),
      `shoal ${VERSION} x86_64 Apache-2.0 localhost ${DATE}`,
    );
    assert.match(rpm('--requires'), /^glibc >= 2\.28$/m);
  });

  it('the tar starts from any directory', () => {
    const name = `shoal-${VERSION}-linux-amd64`;
    execFileSync('tar', ['-xzf', made(`${name}.tar.gz`), '-C', dir]);
    const printed = execFileSync(join(dir, name, 'bin/shoal'), ['root'], { encoding: 'utf8' });
    assert.match(printed, /^started .*\/lib\/shoal\/lib\/shoal\.js root$/m);
    assert.ok(printed.includes(`by ${join(dir, name, 'bin/shoal')}\n`), printed);
  });
});

describe('the man page', () => {
  it('is read by groff without a warning and has every command and option', function () {
    needs(this, 'groff');
    const program = describedProgram();
    const { stdout, stderr, status } = spawnSync('groff', ['-man', '-ww', '-Tascii', '-P-cbu'], {
      input: manPage(program, DATE),
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr], [0, '']);
    const text = stdout.replaceAll(/\s+/g, ' ');
    for (const wanted of ['shoal containerd configure [options]', '--dry-run', '--pattern'])
      assert.ok(text.includes(wanted), wanted);
    for (const name of program.commands.map((command) => command.name()))
      assert.ok(text.includes(` shoal ${name} `), name);
  });
});
