/*
 * `npm run release`: makes the artefacts of a release in out/release/. The same commit gives the
 * same bytes (docs/RELEASE.md).
 *
 *   node deploy/release/release.ts [--out DIRECTORY] [--arch amd64|arm64]... [--only KIND]...
 *                                  [--draft | --verify]
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../../lib/version.ts';
import { build, repository } from './build.ts';
import { gzip, packTar, run, sha256Of, sourceDate, type PackagingOptions } from './files.ts';
import { ImageLayout } from './image.ts';
import { missingPrograms } from './needed-programs.ts';
import { assemble, emptyDirectory, install, licences } from './program.ts';
import { IMAGE, PORTABLE, type Architecture } from './runtimes.ts';
import { pinnedComponent, sbom } from './sbom.ts';
import { systemPackages } from './system-packages.ts';

const KINDS = ['npm', 'chart', 'system', 'image'] as const;
export type Kind = (typeof KINDS)[number];

interface ReleaseOptions {
  out: string;
  architectures: readonly Architecture[];
  kinds: readonly Kind[];
  /** Compress little: quicker, for tests of the packaging. */
  draft: boolean;
}

/** Makes the artefacts in `out`, which is replaced. Returns their file names. */
export function release({ out, architectures, kinds, draft }: ReleaseOptions): string[] {
  process.umask(0o022);
  emptyDirectory(out);
  const date = sourceDate();
  const work = mkdtempSync(join(tmpdir(), 'shoal-release-'));
  const packaging = { work, out, date, level: draft ? 1 : 6 };
  try {
    if (kinds.includes('npm')) npmPackage(work, out, date);
    if (kinds.includes('chart')) chart(out, date);
    const layout = new ImageLayout(join(work, 'layout'), packaging);
    if (kinds.includes('system') || kinds.includes('image'))
      for (const architecture of architectures) {
        const installed = join(work, `installed-${architecture}`);
        install(architecture, installed);
        if (kinds.includes('system')) system(architecture, installed, packaging);
        if (kinds.includes('image')) image(architecture, installed, layout, packaging);
      }
    if (kinds.includes('image')) layout.pack(join(out, `shoal-${VERSION}-image.tar`));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const files = globSync('*', { cwd: out }).sort();
  const sums = files.map((file) => `${sha256Of(join(out, file))}  ${file}\n`).join('');
  writeFileSync(join(out, 'SHA256SUMS'), sums);
  return [...files, 'SHA256SUMS'];
}

/** The package as `npm publish` sends it: `npm pack` dates every file 1985. */
function npmPackage(work: string, out: string, date: number): void {
  const directory = join(work, 'npm');
  build(directory);
  run('npm', ['pack', '--silent', '--pack-destination', out], directory);
  writeFileSync(join(out, `shoal-${VERSION}.cdx.json`), sbom(directory, [], date));
}

function chart(out: string, date: number): void {
  const tar = join(out, `shoal-chart-${VERSION}.tar`);
  packTar(join(repository, 'deploy/helm/shoal'), tar, date, { prefix: 'shoal' });
  run('mv', [gzip(tar), tar.replace(/\.tar$/, '.tgz')], out);
}

function system(architecture: Architecture, installed: string, packaging: PackagingOptions): void {
  const { work, out, date } = packaging;
  const program = join(work, `portable-${architecture}`);
  assemble(PORTABLE, architecture, installed, program);
  systemPackages(program, architecture, packaging);
  const others = [pinnedComponent(PORTABLE.node[architecture])];
  const name = `shoal-${VERSION}-linux-${architecture}`;
  writeFileSync(join(out, `${name}.cdx.json`), sbom(program, others, date));
  writeFileSync(join(out, `${name}.licences.txt`), licences(program));
}

function image(
  architecture: Architecture,
  installed: string,
  layout: ImageLayout,
  { work, out, date }: PackagingOptions,
): void {
  const program = join(work, `image-${architecture}`);
  assemble(IMAGE, architecture, installed, program);
  layout.add(architecture, program);
  const packages = layout.packages.get(architecture) ?? [];
  const others = [
    pinnedComponent(IMAGE.node[architecture]),
    ...(IMAGE.server === null ? [] : [pinnedComponent(IMAGE.server)]),
    ...packages,
  ];
  const name = `shoal-${VERSION}-image-${architecture}`;
  writeFileSync(join(out, `${name}.cdx.json`), sbom(program, others, date));
  writeFileSync(join(out, `${name}.licences.txt`), licences(program, packages));
}

/**
 * Starts to make the same artefacts in `out`, in another process, with another umask, time zone,
 * language and directory.
 */
function again(out: string, { architectures, kinds }: ReleaseOptions): ChildProcess {
  const options = [
    ...architectures.map((architecture) => `--arch=${architecture}`),
    ...kinds.map((kind) => `--only=${kind}`),
    `--out=${out}`,
  ];
  return spawn(
    'sh',
    ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, import.meta.filename, ...options],
    {
      cwd: dirname(out),
      env: { ...process.env, TZ: 'Asia/Tokyo', LANG: 'tr_TR.UTF-8' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
}

/**
 * Makes the artefacts twice, side by side, and throws when a byte differs. Then runs the tests of a
 * release on them, which end with a table.
 */
async function verify(options: ReleaseOptions): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'shoal-again-'));
  const second = join(work, 'release');
  try {
    const child = again(second, options);
    const ended = once(child, 'close');
    printSizes(options.out, release(options));
    const [code] = (await ended) as [number | null];
    if (code !== 0) throw new Error(`the second build ended with ${code}`);
    run('diff', [join(options.out, 'SHA256SUMS'), join(second, 'SHA256SUMS')], work);
    console.log('The second build has the same bytes.');
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  execFileSync(process.execPath, ['test/run.ts', 'test/deploy/release.test.ts'], {
    cwd: repository,
    env: { ...process.env, SHOAL_REQUIRE_ALL: '1', SHOAL_RELEASE: resolve(options.out) },
    stdio: 'inherit',
  });
}

function printSizes(out: string, files: readonly string[]): void {
  for (const file of files) {
    const megabytes = statSync(join(out, file)).size / 1e6;
    console.log(`${megabytes.toFixed(1).padStart(8)} MB  ${basename(file)}`);
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(repository, 'out/release') },
      arch: { type: 'string', multiple: true, default: ['amd64', 'arm64'] },
      only: { type: 'string', multiple: true, default: [...KINDS] },
      draft: { type: 'boolean', default: false },
      verify: { type: 'boolean', default: false },
    },
  });
  if (values.draft && values.verify) throw new Error('--draft and --verify exclude each other');
  const known = <Name extends string>(given: string[], allowed: readonly Name[]): Name[] =>
    given.map((name) => {
      const found = allowed.find((one) => one === name);
      if (found === undefined) throw new Error(`"${name}" is none of ${allowed.join(', ')}`);
      return found;
    });
  const options = {
    out: values.out,
    architectures: known(values.arch, ['amd64', 'arm64']),
    kinds: known(values.only, KINDS),
    draft: values.draft,
  };
  const missing = missingPrograms({ ...options, verify: values.verify });
  if (missing.length > 0) {
    console.error(`missing on this machine: ${missing.join(', ')}`);
    process.exit(1);
  }
  if (values.verify) await verify(options);
  else printSizes(options.out, release(options));
}
