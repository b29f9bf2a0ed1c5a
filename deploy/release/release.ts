/*
 * `npm run release`: makes the artefacts of a release in out/release/. The same commit gives the
 * same bytes (docs/RELEASE.md).
 *
 *   node deploy/release/release.ts [--out DIRECTORY] [--arch amd64|arm64]... [--only KIND]...
 */
import { globSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../../lib/version.ts';
import { build, repository } from './build.ts';
import { gzip, packTar, run, sha256Of, sourceDate } from './files.ts';
import { ImageLayout } from './image.ts';
import { assemble, emptyDirectory, licences } from './program.ts';
import { IMAGE, PORTABLE, type Architecture } from './runtimes.ts';
import { pinnedComponent, sbom } from './sbom.ts';
import { systemPackages } from './system-packages.ts';

const KINDS = ['npm', 'chart', 'system', 'image'] as const;
export type Kind = (typeof KINDS)[number];

export interface ReleaseOptions {
  out: string;
  architectures: readonly Architecture[];
  kinds: readonly Kind[];
}

/** Makes the artefacts in `out`, which is replaced. Returns their file names. */
export function release({ out, architectures, kinds }: ReleaseOptions): string[] {
  process.umask(0o022);
  emptyDirectory(out);
  const date = sourceDate();
  const work = mkdtempSync(join(tmpdir(), 'shoal-release-'));
  try {
    if (kinds.includes('npm')) npmPackage(work, out);
    if (kinds.includes('chart')) chart(out, date);
    if (kinds.includes('system'))
      for (const architecture of architectures) {
        const program = join(work, `portable-${architecture}`);
        assemble(PORTABLE, architecture, program);
        systemPackages(program, architecture, work, out, date);
        const others = [pinnedComponent(PORTABLE.node[architecture])];
        const name = `shoal-${VERSION}-linux-${architecture}`;
        writeFileSync(join(out, `${name}.cdx.json`), sbom(program, others, date));
        writeFileSync(join(out, `${name}.licences.txt`), licences(program));
      }
    if (kinds.includes('image')) image(architectures, work, out, date);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const files = globSync('*', { cwd: out }).sort();
  const sums = files.map((file) => `${sha256Of(join(out, file))}  ${file}\n`).join('');
  writeFileSync(join(out, 'SHA256SUMS'), sums);
  return [...files, 'SHA256SUMS'];
}

/** The package as `npm publish` sends it: `npm pack` dates every file 1985. */
function npmPackage(work: string, out: string): void {
  const directory = join(work, 'npm');
  build(directory);
  run('npm', ['pack', '--silent', '--pack-destination', out], directory);
}

function chart(out: string, date: number): void {
  const tar = join(out, `shoal-chart-${VERSION}.tar`);
  packTar(join(repository, 'deploy/helm/shoal'), tar, date, { prefix: 'shoal' });
  run('mv', [gzip(tar), tar.replace(/\.tar$/, '.tgz')], out);
}

function image(
  architectures: readonly Architecture[],
  work: string,
  out: string,
  date: number,
): void {
  const layout = new ImageLayout(join(work, 'layout'), work, date);
  for (const architecture of architectures) {
    const program = join(work, `image-${architecture}`);
    assemble(IMAGE, architecture, program);
    layout.add(architecture, program);
    const others = [
      pinnedComponent(IMAGE.node[architecture]),
      ...(IMAGE.server === null ? [] : [pinnedComponent(IMAGE.server)]),
      ...(layout.packages.get(architecture) ?? []),
    ];
    const name = `shoal-${VERSION}-image-${architecture}`;
    writeFileSync(join(out, `${name}.cdx.json`), sbom(program, others, date));
  }
  layout.pack(join(out, `shoal-${VERSION}-image.tar`));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(repository, 'out/release') },
      arch: { type: 'string', multiple: true, default: ['amd64', 'arm64'] },
      only: { type: 'string', multiple: true, default: [...KINDS] },
    },
  });
  const known = <Name extends string>(given: string[], allowed: readonly Name[]): Name[] =>
    given.map((name) => {
      const found = allowed.find((one) => one === name);
      if (found === undefined) throw new Error(`"${name}" is none of ${allowed.join(', ')}`);
      return found;
    });
  const files = release({
    out: values.out,
    architectures: known(values.arch, ['amd64', 'arm64']),
    kinds: known(values.only, KINDS),
  });
  for (const file of files) {
    const megabytes = statSync(join(values.out, file)).size / 1e6;
    console.log(`${megabytes.toFixed(1).padStart(8)} MB  ${basename(file)}`);
  }
}
