import { spawnSync } from 'node:child_process';
import type { Kind } from './release.ts';
import { stripProgram } from './program.ts';
import type { Architecture } from './runtimes.ts';

interface Purpose {
  architectures: readonly Architecture[];
  kinds: readonly Kind[];
  verify: boolean;
}

/** Where Debian has what is not on every machine; podman-compose 1.6 is on PyPI. */
const PACKAGES: Readonly<Record<string, string>> = {
  strip: 'binutils',
  'aarch64-linux-gnu-strip': 'binutils-aarch64-linux-gnu',
  'x86_64-linux-gnu-strip': 'binutils-x86-64-linux-gnu',
  'dpkg-deb': 'dpkg',
  'apt-get': 'apt',
  rpm: 'rpm',
  rpmbuild: 'rpm',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  ip: 'iproute2',
  'qemu-aarch64-static': 'qemu-user-static',
  'systemd-analyze': 'systemd',
};
/** Of test/deploy/release.test.ts. */
const TO_VERIFY = [
  ...['podman', 'podman-compose', 'skopeo', 'docker-registry', 'containerd', 'runc', 'catatonit'],
  ...['rpm', 'curl', 'unshare', 'nsenter', 'ip', 'systemd-analyze'],
];

/**
 * What is missing on this machine, each with the package to install. A build takes minutes until it
 * would come to a missing program.
 */
export function missingPrograms(
  { architectures, kinds, verify }: Purpose,
  isThere: (program: string) => boolean = isOnPath,
): string[] {
  const needed = new Set(['npm', 'git', 'tar', 'gzip']);
  const add = (...names: string[]): void => names.forEach((name) => needed.add(name));
  if (kinds.includes('system') || kinds.includes('image'))
    add('dpkg-deb', ...architectures.map((architecture) => stripProgram(architecture)));
  if (kinds.includes('system')) add('rpmbuild');
  if (kinds.includes('image')) add('apt-get');
  if (verify) add(...TO_VERIFY);
  if (verify && architectures.includes('arm64')) add('qemu-aarch64-static');
  return [...needed]
    .filter((program) => !isThere(program))
    .map((program) => `${program} (package ${PACKAGES[program] ?? program})`);
}

function isOnPath(program: string): boolean {
  const { status } = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program], {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  });
  return status === 0;
}
