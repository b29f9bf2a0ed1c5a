import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { repository } from './build.ts';
import { run, sha256Of, write } from './files.ts';
import { emptyDirectory, type LicenceText } from './program.ts';
import { DEBIAN, IMAGE_USER, type Architecture } from './runtimes.ts';
import type { OtherPackage } from './sbom.ts';

const CACHE = join(repository, '.cache/debian');
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

export type DebianPackage = OtherPackage & LicenceText;

/**
 * Extracts the Debian packages of the image into `root` and adds what the image needs besides: the
 * user, the data directories and a shell. apt verifies the packages by the archive's signature.
 * Returns the packages with their versions and licences.
 */
export function debianRoot(architecture: Architecture, root: string): DebianPackage[] {
  emptyDirectory(root);
  const files = debianPackages(architecture);
  for (const file of files) run('dpkg-deb', ['--extract', file, root], root);
  const packages = files.map((file) => {
    const [name = '', version = ''] = run(
      'dpkg-deb',
      ['--show', '--showformat=${Package}\t${Version}', file],
      root,
    ).split('\t');
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
    const text = readFileSync(join(root, 'usr/share/doc', name, 'copyright'), 'utf8');
    return { name, version, purl, sha256: sha256Of(file), text };
  });
  const users = [
    'root:x:0:0:root:/:/usr/sbin/nologin',
    `shoal:x:${IMAGE_USER}:${IMAGE_USER}::/nonexistent:/usr/sbin/nologin`,
  ];
  write(join(root, 'etc/passwd'), `${users.join('\n')}\n`);
  write(join(root, 'etc/group'), `root:x:0:\nshoal:x:${IMAGE_USER}:\n`);
  write(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
  // The chart's sidecar for containerd's config is a shell script.
  for (const command of ['sh', 'sleep']) symlinkSync('busybox', join(root, 'usr/bin', command));
  for (const directory of ['proc', 'sys', 'dev'])
    mkdirSync(join(root, directory), { recursive: true });
  return packages;
}

/** The .deb files of DEBIAN.packages, downloaded once and kept in a folder. */
function debianPackages(architecture: Architecture): string[] {
  const names = createHash('sha256').update(DEBIAN.packages.join()).digest('hex').slice(0, 8);
  const cache = join(CACHE, `${DEBIAN.suite}-${architecture}-${names}`);
  if (!existsSync(cache)) {
    mkdirSync(CACHE, { recursive: true });
    // A place of its own until it is complete: another build may look for it at the same time.
    const unfinished = mkdtempSync(join(CACHE, '.'));
    downloadPackages(architecture, unfinished);
    try {
      renameSync(join(unfinished, 'packages'), cache);
    } catch (error) {
      if (!existsSync(cache)) throw error;
    }
    rmSync(unfinished, { recursive: true });
  }
  const files = globSync('*.deb', { cwd: cache }).sort();
  if (files.length !== DEBIAN.packages.length)
    throw new Error(`${cache} has ${files.join(', ')}; expected ${DEBIAN.packages.join(', ')}`);
  return files.map((file) => join(cache, file));
}

/** Runs apt with a state of its own in `work`; the packages come to lie in `work/packages`. */
function downloadPackages(architecture: Architecture, work: string): void {
  if (!existsSync(KEYRING))
    throw new Error(`${KEYRING} is missing: install debian-archive-keyring`);
  for (const directory of ['packages', 'state/lists/partial', 'archives/partial'])
    mkdirSync(join(work, directory), { recursive: true });
  write(join(work, 'status'), '');
  write(
    join(work, 'sources.list'),
    `deb [signed-by=${KEYRING}] http://deb.debian.org/debian ${DEBIAN.suite} main\n`,
  );
  const options = {
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Sandbox::User': 'root',
    'Dir::State': join(work, 'state'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': work,
    'Dir::Etc::sourcelist': join(work, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Acquire::Languages': 'none',
  };
  const flags = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  run('apt-get', [...flags, '-q', 'update'], work);
  run('apt-get', [...flags, '-q', 'download', ...DEBIAN.packages], join(work, 'packages'));
}
