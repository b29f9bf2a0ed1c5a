import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../../lib/version.ts';
import { run, write, type PackagingOptions } from './files.ts';
import type { Architecture } from './runtimes.ts';

/** The same architecture as RPM names it. */
const RPM_ARCH: Record<Architecture, string> = { amd64: 'x86_64', arm64: 'aarch64' };

export interface RpmOptions extends PackagingOptions {
  /** Holds `usr`, which is moved into the package. */
  root: string;
  /** The least version of glibc. */
  glibc: string;
}

/** Makes the .rpm with rpmbuild. Returns its path. */
export function rpm(architecture: Architecture, options: RpmOptions): string {
  const { root, work, out, date, level } = options;
  // Fedora's zsh looks in another directory than Debian's.
  const share = join(root, 'usr/share');
  mkdirSync(join(share, 'zsh/site-functions'));
  renameSync(
    join(share, 'zsh/vendor-completions/_shoal'),
    join(share, 'zsh/site-functions/_shoal'),
  );
  run('rmdir', [join(share, 'zsh/vendor-completions')], root);

  const top = join(work, `rpm-${architecture}`);
  const spec = join(top, 'shoal.spec');
  write(spec, specOf(options));
  const macros = {
    _topdir: top,
    _rpmdir: out,
    _rpmfilename: rpmName(architecture),
    _binary_payload: `w${level}.gzdio`,
    // What would make two builds differ.
    _buildhost: 'localhost',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    // Node.js is packed as it is pinned.
    __os_install_post: '%{nil}',
    debug_package: '%{nil}',
    _build_id_links: 'none',
  };
  const defines = Object.entries(macros).flatMap(([name, value]) => [
    '--define',
    `${name} ${value}`,
  ]);
  const target = `${RPM_ARCH[architecture]}-linux`;
  run(
    'env',
    [
      `SOURCE_DATE_EPOCH=${date}`,
      'rpmbuild',
      '--quiet',
      '-bb',
      '--target',
      target,
      ...defines,
      spec,
    ],
    work,
  );
  return join(out, rpmName(architecture));
}

function rpmName(architecture: Architecture): string {
  return `shoal-${VERSION}-1.${RPM_ARCH[architecture]}.rpm`;
}

function specOf({ root, glibc }: RpmOptions): string {
  return `Name: shoal
Version: ${VERSION}
Release: 1
Summary: Peer-to-peer distribution of container images
License: Apache-2.0
AutoReqProv: no
Requires: glibc >= ${glibc}, libgcc, libstdc++

%description
Many nodes pull an image, the registry sends it once: nodes read layers
from each other. Works with containerd, Docker, Podman, CRI-O and overlaybd.

%install
mkdir -p %{buildroot}
mv ${root}/usr %{buildroot}/usr

%post
[ ! -d /run/systemd/system ] || systemctl daemon-reload

%preun
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
  systemctl stop shoal-agent.service shoal-root.service
fi

%postun
[ ! -d /run/systemd/system ] || systemctl daemon-reload

%files
%defattr(-, root, root, -)
/usr/bin/shoal
/usr/lib/shoal
/usr/lib/systemd/system/shoal-agent.service
/usr/lib/systemd/system/shoal-root.service
/usr/share/bash-completion/completions/shoal
/usr/share/doc/shoal
/usr/share/fish/vendor_completions.d/shoal.fish
/usr/share/man/man1/shoal.1.gz
/usr/share/zsh/site-functions/_shoal
`;
}
