import { isTable, parseToml } from './toml-text.ts';

/**
 * Whether containerd's CRI plugin, which Kubernetes uses to pull images, reads a certs.d directory.
 */
export interface ConfigPathFinding {
  /**
   * `yes`: config_path names it. `default`: config_path is not set, and containerd 2.2 and later
   * read the directory by default. `no`: it is not read.
   */
  reads: 'yes' | 'default' | 'no';
  /** Lines to add to config.toml; empty when none are needed. */
  lines: string[];
  /** Other obstacles, one line each. */
  remarks: string[];
}

/** containerd 2.2 and later read these by default. */
const DEFAULT_FOLDERS = ['/etc/containerd/certs.d', '/etc/docker/certs.d'];

/**
 * Tables of the CRI plugin's registry settings in each version of config.toml (containerd,
 * docs/hosts.md and docs/cri/config.md).
 */
const SECTION_V2 = 'io.containerd.grpc.v1.cri';
const SECTION_V3 = 'io.containerd.cri.v1.images';

/**
 * Reads `config_path` from config.toml (null: the file does not exist and containerd uses its
 * defaults). Throws FILE_UNUSABLE when it is not TOML.
 */
export function findConfigPath(text: string | null, certsDir: string): ConfigPathFinding {
  const root = text === null ? {} : parseToml(text);
  const version = typeof root['version'] === 'number' ? root['version'] : text === null ? 2 : 1;
  const plugins = tableAt(root, 'plugins');
  // containerd 2.x also accepts a version 2 file with the tables of version 2, so all tables are
  // checked.
  const sections = [SECTION_V3, SECTION_V2, 'cri'].map((name) =>
    tableAt(tableAt(plugins, name), 'registry'),
  );
  const values = sections
    .map((section) => section['config_path'])
    .filter((value): value is string => typeof value === 'string' && value !== '');
  const remarks = sections.some((section) => Object.keys(tableAt(section, 'mirrors')).length > 0)
    ? [
        'registry.mirrors is set: containerd does not start with both registry.mirrors ' +
          'and config_path; move the mirrors into hosts.toml files',
      ]
    : [];
  if (values.some((value) => value.split(':').some((folder) => same(folder, certsDir))))
    return { reads: 'yes', lines: [], remarks };
  if (values.length > 0)
    remarks.push(
      `config_path is ${values.join(', ')}: pass that directory with --certs-dir, or ` +
        'change config_path',
    );
  else if (Array.isArray(root['imports']) && root['imports'].length > 0)
    remarks.push('config.toml imports other files, which may set config_path');
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

/**
 * Why containerd does not read `certsDir`, one line each; empty when it does. `runtime` is the
 * node's `containerRuntimeVersion` (`containerd://2.2.0`), null when it is unknown: without
 * config_path, only containerd 2.2 and later read the directory.
 */
export function obstaclesIn(
  { reads, lines, remarks }: ConfigPathFinding,
  places: { certsDir: string; config: string },
  runtime: string | null,
): string[] {
  const [, name, major, minor] = /^([a-z-]+):\/\/v?(\d+)\.(\d+)/.exec(runtime ?? '') ?? [];
  if (name !== undefined && name !== 'containerd')
    return [`the container runtime of the node is ${name}, not containerd`];
  if (reads === 'yes') return [];
  const isNew = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 2);
  if (reads === 'default' && isNew) return [];
  const what = `containerd does not read ${places.certsDir}: set config_path in ${places.config}`;
  return [[what, ...lines.map((line) => line.trim()), ...remarks].join('; ')];
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
