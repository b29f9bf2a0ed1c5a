import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../../lib/version.ts';
import { run } from './files.ts';
import { installedPackages } from './program.ts';
import type { PinnedPackage } from './runtimes.ts';

interface Component {
  type: string;
  name: string;
  version: string;
  purl: string;
  'bom-ref'?: string;
  hashes?: { alg: string; content: string }[];
}

interface Dependency {
  ref: string;
  dependsOn: string[];
}

/** A package that an artefact contains besides those of npm's lock file. */
export interface OtherPackage {
  name: string;
  version: string;
  purl: string;
  sha256: string;
}

/**
 * CycloneDX of a built program as npm writes it, with Node.js and packages of the system added, and
 * without the random serial number and the time of the run. The lock file also has packages for
 * other systems and the server that a runtime replaces: of an installed program only what is there
 * is listed.
 */
export function sbom(directory: string, others: readonly OtherPackage[], date: number): string {
  const bom = JSON.parse(
    run('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only', '--omit=dev'], directory),
  ) as {
    serialNumber?: string;
    metadata: { timestamp: string; component: Component; tools?: unknown };
    components: Component[];
    dependencies: Dependency[];
  };
  delete bom.serialNumber;
  delete bom.metadata.tools;
  bom.metadata.timestamp = new Date(date * 1000).toISOString();
  bom.metadata.component.name = 'shoal';
  bom.metadata.component.version = VERSION;
  if (existsSync(join(directory, 'node_modules'))) {
    const installed = new Set(
      installedPackages(directory).map(({ path, version }) => `${nameOf(path)}@${version}`),
    );
    const left = bom.components.filter(({ name, version }) => !installed.has(`${name}@${version}`));
    const refs = new Set(left.map((component) => component['bom-ref']));
    bom.components = bom.components.filter((component) => !left.includes(component));
    bom.dependencies = bom.dependencies
      .filter(({ ref }) => !refs.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => !refs.has(one)) }));
  }
  bom.components.push(
    ...others.map(({ name, version, purl, sha256 }) => ({
      'bom-ref': purl,
      type: 'library',
      name,
      version,
      purl,
      hashes: [{ alg: 'SHA-256', content: sha256 }],
    })),
  );
  return `${JSON.stringify(bom, null, 2)}\n`;
}

/** The name under which programs import a package: that of its directory. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

export function pinnedComponent({ name, version, sha256 }: PinnedPackage): OtherPackage {
  return { name, version, sha256, purl: `pkg:npm/${name}@${version}` };
}
