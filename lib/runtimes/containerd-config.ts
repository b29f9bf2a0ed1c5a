import { isTable, parseToml } from './toml-text.ts';

/**
 * Whether containerd's CRI, which is what Kubernetes pulls with, looks into a certs.d folder at
 * all.
 */
export interface ConfigPathFinding {
  /**
   * `yes`: it does. `default`: nothing is said, and containerd 2.2 and later do by themselves.
   * `no`: it does not.
   */
  reads: 'yes' | 'default' | 'no';
  /** Lines for config.toml that make it so; empty when it is. */
  lines: string[];
  /** What else stands in the way, a line each. */
  remarks: string[];
}

/** containerd 2.2 reads these without being told (its default config). */
const DEFAULT_FOLDERS = ['/etc/containerd/certs.d', '/etc/docker/certs.d'];

/**
 * Where the CRI plugin's registry settings stand, by generation of config.toml (containerd,
 * docs/hosts.md and docs/cri/config.md).
 */
const SECTION_V2 = 'io.containerd.grpc.v1.cri';
const SECTION_V3 = 'io.containerd.cri.v1.images';

/**
 * Reads config.toml (null: there is none, containerd runs on its defaults) for the `config_path` of
 * its registries. Throws FILE_UNUSABLE when it is not TOML.
 */
export function findConfigPath(text: string | null, certsDir: string): ConfigPathFinding {
  const root = text === null ? {} : parseToml(text);
  const version = typeof root['version'] === 'number' ? root['version'] : text === null ? 2 : 1;
  const plugins = tableAt(root, 'plugins');
  // containerd 2.x takes a version 2 file with the section of version 2; both are looked at, so
  // that a mixed-up file is seen.
  const sections = [SECTION_V3, SECTION_V2, 'cri'].map((name) =>
    tableAt(tableAt(plugins, name), 'registry'),
  );
  const values = sections
    .map((section) => section['config_path'])
    .filter((value): value is string => typeof value === 'string' && value !== '');
  const remarks = sections.some((section) => Object.keys(tableAt(section, 'mirrors')).length > 0)
    ? [
        'registry.mirrors is set: containerd does not start with it and config_path together; move what it says into hosts.toml files',
      ]
    : [];
  if (values.some((value) => value.split(':').some((folder) => same(folder, certsDir))))
    return { reads: 'yes', lines: [], remarks };
  if (values.length > 0)
    remarks.push(
      `config_path is ${values.join(', ')}: put the hosts.toml files there with --certs-dir, or change it`,
    );
  else if (Array.isArray(root['imports']) && root['imports'].length > 0)
    remarks.push('config.toml imports other files, which may set it');
  const byDefault =
    values.length === 0 &&
    remarks.length === 0 &&
    DEFAULT_FOLDERS.some((folder) => same(folder, certsDir));
  return {
    reads: byDefault ? 'default' : 'no',
    lines: linesFor(version, text === null, certsDir),
    remarks,
  };
}

function linesFor(version: number, isNew: boolean, certsDir: string): string[] {
  const path = `  config_path = ${JSON.stringify(certsDir)}`;
  if (version >= 3) return [`[plugins.'${SECTION_V3}'.registry]`, path];
  if (version === 2)
    return [...(isNew ? ['version = 2'] : []), `[plugins."${SECTION_V2}".registry]`, path];
  return ['[plugins.cri.registry]', path];
}

function tableAt(table: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = table[key];
  return isTable(value) ? value : {};
}

function same(a: string, b: string): boolean {
  return a.replace(/\/+$/, '') === b.replace(/\/+$/, '');
}
