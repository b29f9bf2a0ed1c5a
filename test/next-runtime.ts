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
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../deploy/release/build.ts';
import { download, extract, write } from '../deploy/release/files.ts';
import { replaceServer } from '../deploy/release/program.ts';
import { DEBIAN, IMAGE } from '../deploy/release/runtimes.ts';

/** Programs that tests run. Those that need services of the kernel (podman, runc) are left out. */
const PROGRAMS = [
  'ca-certificates',
  'docker-registry',
  'git',
  'iproute2',
  'nginx-light',
  'openssl',
  'procps',
  'skopeo',
];
const MIRROR = 'http://deb.debian.org/debian';

function makeRoot(root: string): void {
  const unfinished = `${root}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  const inherit = { stdio: 'inherit' } as const;
  execFileSync(
    'debootstrap',
    ['--variant=minbase', '--include=ca-certificates', DEBIAN.suite, unfinished, MIRROR],
    inherit,
  );
  write(join(unfinished, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', 0o755);
  execFileSync(
    'chroot',
    [unfinished, 'apt-get', 'install', '-qy', '--no-install-recommends', ...PROGRAMS],
    { ...inherit, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
  );
  renameSync(unfinished, root);
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

const [root, ...tests] = process.argv.slice(2);
if (root === undefined) {
  console.error('usage: node test/next-runtime.ts ROOT [ARGUMENT OF test/run.ts]...');
  process.exit(2);
}
if (!existsSync(root)) makeRoot(root);
layCheckout(root);
mkdirSync(join(root, 'dev/shm'), { recursive: true });
const script = `
mount -t proc proc proc && mount --rbind /dev dev && mount --rbind /sys sys
exec chroot . sh -c 'cd /src && exec node_modules/.bin/node test/run.ts "$@"' sh "$@"`;
// The mounts end with the namespace.
const { status } = spawnSync('unshare', ['--mount', 'sh', '-ec', script, 'sh', ...tests], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: '/src/node_modules/.bin:/usr/local/bin:/usr/bin:/usr/sbin' },
});
process.exitCode = status ?? 1;
