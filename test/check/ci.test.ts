import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { missingPrograms } from '../../deploy/release/needed-programs.ts';

/** Of packages that every Debian has, and what only tests of a finished release need. */
const ELSEWHERE = new Set(['chroot', 'apt-get', 'podman-compose', 'qemu-aarch64-static']);

const read = (path: string): string => readFileSync(path, 'utf8');

/** Programs in `name=(...)` of a script; `program:package` counts as the program. */
function listed(path: string, name: string): string[] {
  const [, list = ''] = new RegExp(`^${name}=\\(([^)]*)\\)`, 'm').exec(read(path)) ?? [];
  return list.split(/\s+/).map((entry) => entry.split(':')[0]!);
}

/** The programs that the tests of a file need, in calls of `needs`. */
function neededBy(path: string): string[] {
  return [...read(path).matchAll(/\bneeds\(\s*this,([^)]*)\)/g)]
    .flatMap(([, names]) => [...names!.matchAll(/'([^']+)'/g)])
    .map(([, name]) => name!);
}

describe('what is checked before it is needed', () => {
  it('.ci/run installs or builds every program that a test needs', () => {
    const provided = new Set([
      ...listed('.ci/run', 'needed'),
      ...globSync('test/*/assets.sh').flatMap((path) => listed(path, 'programs')),
      ...ELSEWHERE,
    ]);
    const missing = globSync('test/**/*.ts').flatMap((path) =>
      neededBy(path)
        .filter((name) => !provided.has(name))
        .map((name) => `${path}: ${name}`),
    );
    assert.deepEqual(missing, []);
  });

  it('npm run release -- --verify names every program that its tests need', () => {
    const all = {
      architectures: ['amd64', 'arm64'],
      kinds: ['npm', 'chart', 'system', 'image'],
      verify: true,
    } as const;
    const named = new Set(missingPrograms(all, () => false).map((text) => text.split(' ')[0]!));
    const needed = ['release.test', 'arm64-artefacts'].flatMap((file) =>
      neededBy(`test/deploy/${file}.ts`),
    );
    assert.ok(needed.length > 10);
    assert.deepEqual(
      needed.filter((name) => name !== 'chroot' && !named.has(name)),
      [],
    );
    assert.ok(named.has('aarch64-linux-gnu-strip') && named.has('qemu-aarch64-static'));
    assert.deepEqual(
      missingPrograms({ ...all, kinds: ['npm'], verify: false }, (name) => name !== 'git'),
      ['git (package git)'],
    );
  });
});
