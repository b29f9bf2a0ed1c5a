import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { completionScript } from '../../lib/commands/completion.ts';
import { describedProgram } from '../../lib/commands/program.ts';
import { VERSION } from '../../lib/version.ts';
import { repository } from './build.ts';
import { gzip, packTar, run, write, type PackagingOptions } from './files.ts';
import { manPage } from './man-page.ts';
import { emptyDirectory, licences } from './program.ts';
import { rpm } from './rpm.ts';
import type { Architecture } from './runtimes.ts';

/** Starts the Node.js beside the program, wherever the tree lies. */
const LAUNCHER = `#!/bin/sh
case "$0" in /*) SHOAL_LAUNCHER="$0" ;; *) SHOAL_LAUNCHER="$PWD/$0" ;; esac
export SHOAL_LAUNCHER
root="$(dirname "$(dirname "$(readlink -f "$0")")")/lib/shoal"
exec "$root/node" "$root/lib/shoal.js" "$@"
`;

/** glibc that the portable Node.js needs. */
const GLIBC_MIN = '2.28';

/** `bin`, `lib` and `share` as they lie under /usr, with an assembled program in `lib/shoal`. */
function systemTree(program: string, tree: string, date: number): void {
  emptyDirectory(tree);
  cpSync(program, join(tree, 'lib/shoal'), { recursive: true, verbatimSymlinks: true });
  write(join(tree, 'bin/shoal'), LAUNCHER, 0o755);
  for (const mode of ['agent', 'root'])
    cpSync(
      join(repository, `deploy/systemd/shoal-${mode}.service`),
      join(tree, `lib/systemd/system/shoal-${mode}.service`),
    );
  const commands = describedProgram();
  const share = (path: string, text: string): void => write(join(tree, 'share', path), text);
  share('man/man1/shoal.1', manPage(commands, date));
  gzip(join(tree, 'share/man/man1/shoal.1'));
  share('bash-completion/completions/shoal', completionScript('bash', commands));
  share('zsh/vendor-completions/_shoal', completionScript('zsh', commands));
  share('fish/vendor_completions.d/shoal.fish', completionScript('fish', commands));
  share('doc/shoal/copyright', copyright(program));
  share('doc/shoal/CHANGELOG.md', readFileSync(join(repository, 'CHANGELOG.md'), 'utf8'));
  gzip(join(tree, 'share/doc/shoal/CHANGELOG.md'));
}

function copyright(program: string): string {
  const own = readFileSync(join(repository, 'LICENSE'), 'utf8').trim();
  return `Shoal\n\n${own}\n\n${'-'.repeat(78)}\n\n${licences(program)}`;
}

/** Makes the tar with Node.js inside, the .deb and the .rpm from an assembled program. */
export function systemPackages(
  program: string,
  architecture: Architecture,
  { work, out, date, level }: PackagingOptions,
): void {
  const root = join(work, `deb-${architecture}`);
  systemTree(program, join(root, 'usr'), date);
  const name = `shoal-${VERSION}-linux-${architecture}`;
  packTar(join(root, 'usr'), join(out, `${name}.tar`), date, { prefix: name });
  gzip(join(out, `${name}.tar`), level);

  const kib = Number(run('du', ['-sk', '--apparent-size', 'usr'], root).split('\t')[0]);
  write(join(root, 'DEBIAN/control'), control(architecture, kib));
  write(join(root, 'DEBIAN/postinst'), `#!/bin/sh\nset -e\n${RELOAD}`, 0o755);
  write(join(root, 'DEBIAN/prerm'), PRERM, 0o755);
  write(join(root, 'DEBIAN/postrm'), `#!/bin/sh\nset -e\n${RELOAD}`, 0o755);
  run('find', ['.', '-exec', 'touch', '--no-dereference', `--date=@${date}`, '{}', '+'], root);
  run('chmod', ['-R', 'u+rwX,go+rX,go-w', '.'], root);
  run(
    'env',
    [
      `SOURCE_DATE_EPOCH=${date}`,
      'dpkg-deb',
      '--root-owner-group',
      '-Zgzip',
      `-z${level}`,
      '--build',
      root,
      join(out, `shoal_${VERSION}_${architecture}.deb`),
    ],
    work,
  );
  rpm(architecture, { root, work, out, date, level, glibc: GLIBC_MIN });
}

function control(architecture: Architecture, kib: number): string {
  return `Package: shoal
Version: ${VERSION}
Architecture: ${architecture}
Maintainer: Shoal maintainers <maintainers@shoal.invalid>
Installed-Size: ${kib}
Depends: libc6 (>= ${GLIBC_MIN}), libgcc-s1, libstdc++6
Section: admin
Priority: optional
Description: peer-to-peer distribution of container images
 Many nodes pull an image, the registry sends it once: nodes read layers
 from each other. Works with containerd, Docker, Podman, CRI-O and overlaybd.
`;
}

const RELOAD = `if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
`;

const PRERM = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl stop shoal-agent.service shoal-root.service
fi
`;
