import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { repository } from './build.ts';
import type { PinnedPackage } from './runtimes.ts';

/** Downloads are kept here between builds; each is checked against its pin again before use. */
const DOWNLOADS = join(repository, '.cache/downloads');

export interface PackagingOptions {
  /** For intermediate files. */
  work: string;
  /** For the artefacts. */
  out: string;
  /** Seconds since 1970 that every file is dated with. */
  date: number;
  /** Level of gzip, 1 to 9. */
  level: number;
}

/**
 * Seconds since 1970 that every file of an artefact is dated with: SOURCE_DATE_EPOCH, else the time
 * of the commit that is built.
 */
export function sourceDate(): number {
  const given = Number(process.env['SOURCE_DATE_EPOCH']);
  if (Number.isSafeInteger(given) && given > 0) return given;
  return Number(run('git', ['log', '-1', '--format=%ct'], repository));
}

/** Runs a program; throws with its stderr when it fails. Returns its stdout. */
export function run(program: string, args: readonly string[], cwd: string): string {
  return execFileSync(program, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C', SOURCE_DATE_EPOCH: process.env['SOURCE_DATE_EPOCH'] ?? '' },
  }).trim();
}

/** The tarball of a pinned package. Throws when its SHA-256 is not the pinned one. */
export function download({ name, version, sha256 }: PinnedPackage): string {
  const file = join(DOWNLOADS, `${name.replace('/', '-').replace('@', '')}-${version}.tgz`);
  if (!existsSync(file)) {
    mkdirSync(DOWNLOADS, { recursive: true });
    // A place of its own until it is complete: another build may look for it at the same time.
    const unfinished = mkdtempSync(join(DOWNLOADS, '.'));
    run('npm', ['pack', '--silent', '--pack-destination', '.', `${name}@${version}`], unfinished);
    renameSync(join(unfinished, basename(file)), file);
    rmSync(unfinished, { recursive: true });
  }
  const found = sha256Of(file);
  if (found !== sha256)
    throw new Error(`${file} has SHA-256 ${found}, but deploy/release/runtimes.ts pins ${sha256}`);
  return file;
}

/** Extracts members of an npm tarball, without their `package/` prefix. */
export function extract(tarball: string, directory: string, members: readonly string[]): void {
  mkdirSync(directory, { recursive: true });
  run(
    'tar',
    [
      '-xzf',
      tarball,
      '--strip-components=1',
      '--no-same-owner',
      ...members.map((member) => `package/${member}`),
    ],
    directory,
  );
}

interface TarOptions {
  /** The folder that the members are put in. */
  prefix?: string;
  members?: readonly string[];
  /** Numeric user and group of every member. */
  owner?: number;
  /** Take modes from the files; without it they are 755 or 644. */
  keepModes?: boolean;
}

/**
 * Packs members of `directory` (all, by default) as a tar whose bytes depend only on names, modes
 * and contents: sorted, dated `date`, with one owner.
 */
export function packTar(
  directory: string,
  tar: string,
  date: number,
  { prefix, members = ['.'], owner = 0, keepModes = false }: TarOptions = {},
): void {
  run(
    'tar',
    [
      '--create',
      `--file=${tar}`,
      '--format=gnu',
      '--sort=name',
      `--mtime=@${date}`,
      `--owner=${owner}`,
      `--group=${owner}`,
      '--numeric-owner',
      ...(keepModes ? [] : ['--mode=u+rwX,go+rX,go-w']),
      ...(prefix === undefined ? [] : [`--transform=flags=r;s,^\\.,${prefix},`]),
      ...members,
    ],
    directory,
  );
}

/** Compresses a file in place of itself; no name and no time go into the header. */
export function gzip(file: string, level = 6): string {
  run('gzip', ['--no-name', '--force', `-${level}`, file], dirname(file));
  return `${file}.gz`;
}

export function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

export function write(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
}
