/*
 * `npm run build`: writes the program as JavaScript to dist/, ready for `npm pack` and for the
 * image. The layout is that of the checkout (lib/, native-bench/, package.json), so relative paths
 * hold in both.
 *
 *   node deploy/release/build.ts [DIRECTORY]
 */
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../..', import.meta.url));

/** What the program consists of: lib/, and the programs that the command line runs by path. */
const PROGRAM = ['lib/**/*', 'native-bench/pread.ts', 'native-bench/estimate.ts'];
const DOCUMENTS = ['README.md', 'LICENSE', 'CHANGELOG.md'];

/** Fields of package.json that a user of the package needs. */
const PUBLISHED = [
  'name',
  'version',
  'description',
  'license',
  'repository',
  'type',
  'engines',
  'os',
  'bin',
  'dependencies',
] as const;

/** A relative path to a TypeScript file, in quotes: an import or a worker's file. */
const TYPESCRIPT_PATH = /'((?:\.{1,2}\/)?[\w./-]+)\.ts'/g;

/** Builds the program in `directory`, which is replaced. Returns the files written. */
export function build(directory: string): string[] {
  rmSync(directory, { recursive: true, force: true });
  const files = programFiles();
  for (const file of files) {
    const target = join(directory, builtName(file));
    mkdirSync(dirname(target), { recursive: true });
    if (file.endsWith('.ts') || file.endsWith('shoal.js'))
      writeFileSync(target, asJavaScript(file, files), {
        mode: file === 'lib/shoal.js' ? 0o755 : 0o644,
      });
    else cpSync(join(repository, file), target);
  }
  for (const name of DOCUMENTS) cpSync(join(repository, name), join(directory, name));
  const json = readJson('package.json');
  writeJson(join(directory, 'package.json'), { ...pick(json, PUBLISHED), commit: commit() });
  writeJson(join(directory, 'npm-shrinkwrap.json'), shrinkwrap());
  return [...[...files].map(builtName), ...DOCUMENTS, 'package.json', 'npm-shrinkwrap.json'];
}

/** Every file of the checkout that the built program is made of. */
export function builtSources(): string[] {
  return [...programFiles(), ...DOCUMENTS, 'package.json', 'package-lock.json'].sort();
}

/** The lock file without development packages: an installed program gets the tested versions. */
function shrinkwrap(): object {
  const lock = readJson('package-lock.json') as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  const packages = Object.entries(lock.packages).flatMap(([path, entry]) =>
    path === ''
      ? [[path, pick(readJson('package.json'), PUBLISHED)]]
      : entry.dev === true || entry.devOptional === true
        ? []
        : [[path, entry]],
  );
  return { ...lock, packages: Object.fromEntries(packages) as object };
}

function readJson(file: string): object {
  return JSON.parse(readFileSync(join(repository, file), 'utf8')) as object;
}

function writeJson(path: string, value: object): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** The sources of PROGRAM and everything that they import, directly or through others. */
function programFiles(): Set<string> {
  const found = new Set<string>();
  const waiting = PROGRAM.flatMap((pattern) =>
    globSync(pattern, { cwd: repository, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => posix.relative(repository, posix.join(entry.parentPath, entry.name))),
  ).sort();
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    if (!file.endsWith('.ts')) continue;
    for (const [, path] of readFileSync(join(repository, file), 'utf8').matchAll(TYPESCRIPT_PATH)) {
      const target = posix.join(posix.dirname(file), `${path}.ts`);
      if (globSync(target, { cwd: repository }).length > 0) waiting.push(target);
    }
  }
  return found;
}

function builtName(file: string): string {
  return file.replace(/\.ts$/, '.js');
}

/** The file without its types, columns and lines kept; paths to built files name the built ones. */
function asJavaScript(file: string, built: ReadonlySet<string>): string {
  const source = readFileSync(join(repository, file), 'utf8');
  const script = file.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
  return script.replace(TYPESCRIPT_PATH, (quoted, path: string) =>
    built.has(posix.join(posix.dirname(file), `${path}.ts`)) ? `'${path}.js'` : quoted,
  );
}

/**
 * The commit that is built, with `-dirty` when the work tree differs from it; null outside a clone,
 * unless SHOAL_COMMIT names it (an image build has no .git).
 */
export function commit(): string | null {
  const named = process.env['SHOAL_COMMIT'];
  if (named !== undefined && named !== '') return named;
  try {
    return execFileSync('git', ['describe', '--always', '--dirty', '--exclude=*', '--abbrev=12'], {
      cwd: repository,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

function pick(object: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
}

if (import.meta.main) {
  const directory = process.argv[2] ?? join(repository, 'dist');
  const files = build(directory);
  console.log(`${files.length} files in ${directory}`);
}
