/*
 * Runs tests on the Node.js, the server binary and the Debian of the image (IMAGE in
 * deploy/release/runtimes.ts), in a root of its own that debootstrap makes. Needs root, Linux on
 * x64 and debootstrap.
 *
 *   node test/next-runtime.ts ROOT [ARGUMENT OF test/run.ts]...
 *
 * ROOT is a directory; it is made when it is missing, and kept for the next run.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { repository } from '../deploy/release/build.ts';
import { download, extract, write } from '../deploy/release/files.ts';
import { replaceServer } from '../deploy/release/program.ts';
import { DEBIAN, IMAGE } from '../deploy/release/runtimes.ts';
import { findProgram } from './programs.ts';

/** In the root: see NODE_EXTRA_CA_CERTS in Node's documentation. */
const EXTRA_CA = 'etc/ssl/extra-ca.crt';

/** What `.ci/run` installs for the tests; npm and what Go builds are those of this machine. */
const PACKAGES = debianPackagesOf('.ci/run').filter(
  (name) => name !== 'npm' && name !== 'golang-go',
);
const MIRROR = 'http://deb.debian.org/debian';

function makeRoot(root: string): void {
  const unfinished = `${root}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  const inherit = { stdio: 'inherit' } as const;
  execFileSync('debootstrap', ['--variant=minbase', DEBIAN.suite, unfinished, MIRROR], inherit);
  write(join(unfinished, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', 0o755);
  execFileSync(
    'chroot',
    [unfinished, 'apt-get', 'install', '-qy', '--no-install-recommends', ...PACKAGES],
    { ...inherit, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
  );
  renameSync(unfinished, root);
}

/** The packages of Debian in the list `needed` of a script: `program:package`. */
function debianPackagesOf(script: string): string[] {
  const text = readFileSync(join(repository, script), 'utf8');
  const [, list = ''] = /^needed=\(([^)]*)\)/m.exec(text) ?? [];
  const packages = [...list.matchAll(/\S+:(\S+)/g)].map(([, name]) => name!);
  if (packages.length === 0) throw new Error(`${script} has no list of needed packages`);
  return [...new Set(packages)];
}

/** The checkout as it is now, with the image's Node.js and server binary. */
function layCheckout(root: string): void {
  const target = join(root, 'src');
  rmSync(target, { recursive: true, force: true });
  execFileSync('git', ['clone', '--quiet', '--no-hardlinks', repository, target]);
  const options = { cwd: repository, encoding: 'utf8' } as const;
  const changed = execFileSync(
    'git',
    ['ls-files', '-z', '-m', '-o', '--exclude-standard'],
    options,
  );
  for (const path of changed.split('\0').filter((one) => existsSync(join(repository, one))))
    if (path !== '') cpSync(join(repository, path), join(target, path));
  cpSync(join(repository, 'node_modules'), join(target, 'node_modules'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  if (IMAGE.server !== null) replaceServer(target, IMAGE, IMAGE.server, 'x64');
  const node = join(target, 'node_modules/node');
  rmSync(node, { recursive: true });
  extract(download(IMAGE.node.amd64), node, ['bin/node', 'package.json']);
}

const [given, ...tests] = process.argv.slice(2);
if (given === undefined) {
  console.error('usage: node test/next-runtime.ts ROOT [ARGUMENT OF test/run.ts]...');
  process.exit(2);
}
const root = resolve(given);
const npm = findProgram('npm');
if (npm === null) throw new Error('npm is not on the PATH');
if (!existsSync(root)) makeRoot(root);
layCheckout(root);
for (const path of ['dev/shm', 'root/.cache/shoal', 'opt/npm', 'old'])
  mkdirSync(join(root, path), { recursive: true });
// npm's own shell scripts look for it beside the Node that runs.
for (const name of ['npm', 'npx'])
  writeFileSync(
    join(root, 'usr/local/bin', name),
    `#!/bin/sh\nexec node /opt/npm/bin/${name}-cli.js "$@"\n`,
    { mode: 0o755 },
  );
// Authorities that this machine trusts in addition, for what npm fetches there.
const authorities = process.env['NODE_EXTRA_CA_CERTS'];
if (authorities !== undefined) copyFileSync(authorities, join(root, EXTRA_CA));
// A container cannot start below chroot: the root becomes that of the namespace. The mounts end
// with it.
const script = `
mount --make-rprivate /
mount --bind . . && cd "$PWD"
mount -t proc proc proc && mount --rbind /dev dev && mount --rbind /sys sys
mount -t tmpfs tmpfs run && mkdir run/lock
mount --bind "$ASSETS" root/.cache/shoal
mount --bind "$NPM" opt/npm
cp /etc/resolv.conf etc/resolv.conf
pivot_root . old && umount -l old
cd /src && exec node_modules/.bin/node test/run.ts "$@"`;
const { status } = spawnSync('unshare', ['--mount', 'sh', '-ec', script, 'sh', ...tests], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    ASSETS: join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal'),
    NPM: join(realpathSync(npm), '../..'),
    ...(authorities === undefined ? {} : { NODE_EXTRA_CA_CERTS: `/${EXTRA_CA}` }),
    HOME: '/root',
    XDG_CACHE_HOME: '/root/.cache',
    PATH: '/src/node_modules/.bin:/usr/local/bin:/usr/bin:/usr/sbin',
  },
});
process.exitCode = status ?? 1;
