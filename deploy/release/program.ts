import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build, repository } from './build.ts';
import { download, extract, run, write } from './files.ts';
import { wrongBinaries } from './native-binaries.ts';
import { NODE_ARCH, type Architecture, type PinnedPackage, type Runtime } from './runtimes.ts';

/** Puts the built program with the locked packages in `directory`. Every runtime begins with it. */
export function install(architecture: Architecture, directory: string): void {
  build(directory);
  run(
    'npm',
    [
      'ci',
      '--omit=dev',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--os=linux',
      `--cpu=${NODE_ARCH[architecture]}`,
      '--libc=glibc',
    ],
    directory,
  );
}

/**
 * Puts the `installed` program with its own Node.js in `directory`: `node`, `lib/`,
 * `node_modules/`, ... Throws when a native binary is not the pinned one.
 */
export function assemble(
  runtime: Runtime,
  architecture: Architecture,
  installed: string,
  directory: string,
): void {
  cpSync(installed, directory, { recursive: true, verbatimSymlinks: true });
  const arch = NODE_ARCH[architecture];
  if (runtime.server !== null) replaceServer(directory, runtime, runtime.server, arch);
  const node = runtime.node[architecture];
  const unpacked = mkdtempSync(join(directory, '.node-'));
  extract(download(node), unpacked, ['bin/node', 'LICENSE']);
  // Debug symbols are a seventh of the binary.
  run(
    stripProgram(architecture),
    ['-o', join(directory, 'node'), join(unpacked, 'bin/node')],
    directory,
  );
  cpSync(join(unpacked, 'LICENSE'), join(directory, 'LICENSE.node'));
  rmSync(unpacked, { recursive: true });
  run('sh', [join(repository, 'deploy/prune.sh'), 'node_modules', arch, abiOf(node)], directory);
  const wrong = wrongBinaries(directory, runtime);
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
}

/** Replaces the package `uWebSockets.js` by the one that the runtime pins. */
export function replaceServer(
  directory: string,
  { binaries }: Runtime,
  server: PinnedPackage,
  arch: string,
): void {
  const target = join(directory, 'node_modules/uWebSockets.js');
  rmSync(target, { recursive: true });
  const wanted = Object.keys(binaries).filter((name) => name.includes(`_${arch}_`));
  extract(download(server), target, [
    'ESM_wrapper.mjs',
    'uws.js',
    'LICENSE',
    'source_commit',
    ...wanted,
  ]);
  // The repack has no `exports`, so an import would get uws.js, which has no named exports.
  const { name, version } = server;
  const description = { name, version, license: 'Apache-2.0', exports: './ESM_wrapper.mjs' };
  write(join(target, 'package.json'), `${JSON.stringify(description, null, 2)}\n`);
}

/** The ABI version that a binary for this Node.js has in its file name. */
function abiOf({ version }: PinnedPackage): string {
  const abi = { '22': '127', '24': '137' }[version.split('.')[0]!];
  if (abi === undefined) throw new Error(`the ABI version of Node.js ${version} is not known`);
  return abi;
}

/** The `strip` of binutils for binaries of an architecture. */
export function stripProgram(architecture: Architecture): string {
  const own = NODE_ARCH[architecture] === process.arch;
  return own ? 'strip' : `${{ amd64: 'x86_64', arm64: 'aarch64' }[architecture]}-linux-gnu-strip`;
}

interface InstalledPackage {
  /** Of its directory, from that of the program. */
  path: string;
  name: string;
  version: string;
  license?: string;
}

/** The packages of npm in an installed program. */
export function installedPackages(directory: string): InstalledPackage[] {
  return globSync('node_modules/**/package.json', { cwd: directory })
    .filter((file) => /node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(file))
    .sort()
    .map((file) => ({
      ...(JSON.parse(readFileSync(join(directory, file), 'utf8')) as InstalledPackage),
      path: dirname(file),
    }));
}

/** A part of an artefact that is no package of npm, with its licences. */
export interface LicenceText {
  name: string;
  version: string;
  text: string;
}

/** The licences of an assembled program's parts and of what comes with it, one after the other. */
export function licences(directory: string, others: readonly LicenceText[] = []): string {
  const sections = installedPackages(directory).map(({ path, name, version, license }) => {
    const texts = globSync('{LICEN[CS]E,licen[cs]e,COPYING,NOTICE}*', {
      cwd: join(directory, path),
    })
      .sort()
      .map((text) => readFileSync(join(directory, path, text), 'utf8').trim());
    return [`${name} ${version}`, `Licence: ${license ?? 'see below'}`, ...texts].join('\n\n');
  });
  const node = readFileSync(join(directory, 'LICENSE.node'), 'utf8').trim();
  const rule = `\n\n${'-'.repeat(78)}\n\n`;
  const more = others.map(({ name, version, text }) => `${name} ${version}\n\n${text.trim()}`);
  return `${[...sections, `Node.js\n\n${node}`, ...more].join(rule)}\n`;
}

/** Makes an empty directory; what was there goes. */
export function emptyDirectory(path: string): string {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  return path;
}
