/*
 * The program as it ships: built from this checkout once per state of its sources and kept in
 * .cache/. Tests that run many nodes use it: a built node starts in half the CPU time of one whose
 * types are stripped at start.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, builtSources, repository } from '../deploy/release/build.ts';

const BUILDS = join(repository, '.cache/built');

/** Directory of the built program. It lies in the checkout, so it finds the same packages. */
export const programDir = builtProgram();

/** The entry file of the built program: `node cliPath agent ...`. */
export const cliPath = join(programDir, 'lib/shoal.js');

function builtProgram(): string {
  const hash = createHash('sha256');
  for (const file of builtSources())
    hash.update(`${file}\0`).update(readFileSync(join(repository, file)));
  const name = hash.digest('hex').slice(0, 16);
  const directory = join(BUILDS, name);
  if (existsSync(directory)) return directory;
  mkdirSync(BUILDS, { recursive: true });
  const unfinished = join(BUILDS, `${name}.${process.pid}`);
  try {
    build(unfinished);
    renameSync(unfinished, directory);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another run may have built the same sources meanwhile.
    if (!existsSync(directory)) throw error;
  }
  removeOlderBuilds(name);
  return directory;
}

/** Keeps the newest builds: another run may still use the one before. */
function removeOlderBuilds(current: string): void {
  const others = readdirSync(BUILDS).filter((entry) => /^[0-9a-f]{16}$/.test(entry));
  if (others.length <= 8) return;
  for (const entry of others.filter((one) => one !== current).slice(0, others.length - 8))
    rmSync(join(BUILDS, entry), { recursive: true, force: true });
}
