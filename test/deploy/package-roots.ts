import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a removed package must not leave. */
function assertRemoved(root: string): void {
  assert.deepEqual(globSync('usr/{bin/shoal,lib/shoal/*}', { cwd: root }), []);
}

/** A directory that dpkg installs packages in. Nothing of this machine changes. */
export class DebRoot {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    for (const directory of ['updates', 'info', 'parts', 'triggers'])
      mkdirSync(join(root, 'var/lib/dpkg', directory), { recursive: true });
    writeFileSync(join(root, 'var/lib/dpkg/status'), '');
  }

  install(archive: string): void {
    this.#dpkg('--install', archive);
  }

  remove(): void {
    this.#dpkg('--remove', 'shoal');
    assertRemoved(this.#root);
  }

  #dpkg(...args: string[]): void {
    const options = [`--root=${this.#root}`, '--force-depends', '--force-script-chrootless'];
    execFileSync('dpkg', [...options, ...args], { stdio: 'pipe' });
  }
}

/** A directory that rpm installs packages in. */
export class RpmRoot {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  install(archive: string): void {
    this.#rpm('--install', archive);
  }

  remove(): void {
    this.#rpm('--erase', 'shoal');
    assertRemoved(this.#root);
  }

  #rpm(...args: string[]): void {
    const options = ['--root', this.#root, '--nodeps', '--noscripts'];
    execFileSync('rpm', [...options, ...args], { stdio: 'pipe' });
  }
}
