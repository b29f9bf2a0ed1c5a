import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';

/** Of packages that every Debian has, and what only tests of a finished release need. */
const ELSEWHERE = new Set(['chroot', 'apt-get', 'podman-compose', 'qemu-aarch64-static']);

const read = (path: string): string => readFileSync(path, 'utf8');

/** Programs in `name=(...)` of a script; `program:package` counts as the program. */
function listed(path: string, name: string): string[] {
  const [, list = ''] = new RegExp(`^${name}=\\(([^)]*)\\)`, 'm').exec(read(path)) ?? [];
  return list.split(/\s+/).map((entry) => entry.split(':')[0]!);
}

describe('.ci/run', () => {
  it('installs or builds every program that a test needs', () => {
    const provided = new Set([
      ...listed('.ci/run', 'needed'),
      ...globSync('test/*/assets.sh').flatMap((path) => listed(path, 'programs')),
      ...ELSEWHERE,
    ]);
    const missing = globSync('test/**/*.ts').flatMap((path) =>
      [...read(path).matchAll(/\bneeds\(\s*this,([^)]*)\)/g)]
        .flatMap(([, names]) => [...names!.matchAll(/'([^']+)'/g)])
        .filter(([, name]) => !provided.has(name!))
        .map(([, name]) => `${path}: ${name}`),
    );
    assert.deepEqual(missing, []);
  });
});
