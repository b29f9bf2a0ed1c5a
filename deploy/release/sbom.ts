import { VERSION } from '../../lib/version.ts';
import { run } from './files.ts';
import type { PinnedPackage } from './runtimes.ts';

interface Component {
  type: string;
  name: string;
  version: string;
  purl: string;
  'bom-ref'?: string;
  hashes?: { alg: string; content: string }[];
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
 * without the random serial number and the time of the run.
 */
export function sbom(directory: string, others: readonly OtherPackage[], date: number): string {
  const bom = JSON.parse(
    run('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only', '--omit=dev'], directory),
  ) as {
    serialNumber?: string;
    metadata: { timestamp: string; component: Component; tools?: unknown };
    components: Component[];
  };
  delete bom.serialNumber;
  delete bom.metadata.tools;
  bom.metadata.timestamp = new Date(date * 1000).toISOString();
  bom.metadata.component.name = 'shoal';
  bom.metadata.component.version = VERSION;
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

export function pinnedComponent({ name, version, sha256 }: PinnedPackage): OtherPackage {
  return { name, version, sha256, purl: `pkg:npm/${name}@${version}` };
}
