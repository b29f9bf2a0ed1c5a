/*
 * The program as it was before the last addition to the protocol between nodes, kept to be run
 * beside this one.
 *
 *   node test/versions/kept-build.ts REF     packs the built program of a commit of this repository
 *
 * The packed file holds names and texts of lib/ as JSON, compressed with Brotli, and of the
 * packages that this checkout no longer depends on. Its other dependencies are those of the
 * checkout.
 */
import { execFileSync } from 'node:child_process';
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { parseVersion, type ProtocolVersion } from '../../lib/wire/version.ts';
import { repository } from '../../deploy/release/build.ts';

interface KeptBuild {
  protocol: string;
  commit: string;
  files: Record<string, string>;
}

const PACKED = fileURLToPath(new URL('kept-build.json.br', import.meta.url));
const UNPACKED = join(repository, '.cache/kept');

function read(): KeptBuild {
  return JSON.parse(brotliDecompressSync(readFileSync(PACKED)).toString('utf8')) as KeptBuild;
}

/** Packages that the kept build needs and neither it nor this checkout has. */
export function missingPackages(): string[] {
  const { files } = read();
  const [kept, here] = [files['package.json']!, packageJson()].map(dependenciesOf);
  return Object.keys(kept!).filter(
    (name) => !(name in here!) && files[`node_modules/${name}/package.json`] === undefined,
  );
}

function packageJson(): string {
  return readFileSync(join(repository, 'package.json'), 'utf8');
}

function dependenciesOf(json: string): Record<string, string> {
  return (JSON.parse(json) as { dependencies: Record<string, string> }).dependencies;
}

/** The protocol version of the kept build. */
export function keptVersion(): ProtocolVersion {
  return parseVersion(read().protocol)!;
}

/** Unpacks the kept build and returns its entry file. It lies in the checkout, for its packages. */
export function keptCliPath(): string {
  const { commit, files } = read();
  const directory = join(UNPACKED, commit);
  const unfinished = `${directory}.${process.pid}`;
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(unfinished, name)), { recursive: true });
    writeFileSync(join(unfinished, name), text);
  }
  rmSync(directory, { recursive: true, force: true });
  renameSync(unfinished, directory);
  return join(directory, 'lib/shoal.js');
}

/** Packs the program of a commit, built by its own build. */
function keep(ref: string): void {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--short=12', ref);
  const scratch = mkdtempSync(join(tmpdir(), 'shoal-kept-'));
  const checkout = join(scratch, 'checkout');
  const built = join(scratch, 'built');
  try {
    git('worktree', 'add', '--detach', checkout, commit);
    symlinkSync(join(repository, 'node_modules'), join(checkout, 'node_modules'));
    execFileSync(process.execPath, [join(checkout, 'deploy/release/build.ts'), built]);
    const here = dependenciesOf(packageJson());
    const gone = Object.entries(
      dependenciesOf(readFileSync(join(built, 'package.json'), 'utf8')),
    ).filter(([name]) => !(name in here));
    if (gone.length > 0) {
      const packages = join(scratch, 'packages');
      const wanted = gone.map(([name, version]) => `${name}@${version}`);
      const options = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
      execFileSync('npm', ['install', '--prefix', packages, ...options, ...wanted]);
      renameSync(join(packages, 'node_modules'), join(built, 'node_modules'));
    }
    const names = globSync(
      ['lib/**/*', 'native-bench/**/*', 'package.json', 'node_modules/**/*.{js,cjs,mjs,json}'],
      {
        cwd: built,
        withFileTypes: true,
      },
    )
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(built.length + 1))
      .sort();
    const files = Object.fromEntries(
      names.map((name) => [name, readFileSync(join(built, name), 'utf8')]),
    );
    const [, major, minor] = /major: (\d+), minor: (\d+)/.exec(files['lib/wire/version.js'] ?? '')!;
    const text = JSON.stringify({ protocol: `${major}.${minor}`, commit, files });
    const params = {
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
    };
    writeFileSync(PACKED, brotliCompressSync(text, { params }));
    console.log(`${PACKED}: protocol ${major}.${minor} of ${commit}, ${names.length} files`);
  } finally {
    git('worktree', 'remove', '--force', checkout);
    rmSync(scratch, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) keep(process.argv[2] ?? 'HEAD');
