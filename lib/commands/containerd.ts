import { resolve } from 'node:path';
import { ShoalError } from '../errors.ts';
import { CertsDir } from '../runtimes/certs-dir.ts';
import type { RegistryChange, RegistryStatus } from '../runtimes/certs-dir.ts';
import { findConfigPath } from '../runtimes/containerd-config.ts';
import type { ConfigPathFinding } from '../runtimes/containerd-config.ts';
import { readText, systemDisk } from '../runtimes/disk.ts';
import type { Mirror } from '../runtimes/hosts-toml.ts';
import { Preview, type WriteOptions } from './preview.ts';
import type { Output } from './process-output.ts';
import { mirrorUrl, registryNames, upstreamsOf } from './registry-names.ts';
import { serverFor } from './registry-server.ts';

export interface ContainerdOptions extends WriteOptions {
  registry: string[];
  certsDir: string;
  /** containerd's own config file; read only. */
  config: string;
  mirror: string;
  /** `HOST=URL`: the registry behind a P2P host. */
  upstream?: string[];
  ca?: string;
  json?: boolean;
}

export type ContainerdAction = 'configure' | 'restore' | 'status';

interface ConfigReport extends ConfigPathFinding {
  file: string;
}

/**
 * `shoal containerd configure|restore|status`. Returns 0, or 1 when a registry failed; each failure
 * is one line on stderr and the other registries are still processed. Throws USAGE.
 */
export async function runContainerd(
  action: ContainerdAction,
  options: ContainerdOptions,
  output: Output,
): Promise<number> {
  const preview = new Preview(options);
  const certs = new CertsDir(options.certsDir, preview.disk);
  const named = registryNames(options.registry, ['_default']);
  const registries = action === 'status' && named.length === 0 ? certs.registries() : named;
  const mirror = mirrorOf(options);
  const upstreams = upstreamsOf(options.upstream ?? []);
  const results: (RegistryChange | RegistryStatus)[] = [];
  const problems: string[] = [];
  for (const registry of registries) {
    try {
      results.push(
        action === 'configure'
          ? certs.configure(
              registry,
              mirror,
              await serverFor(registry, upstreams, mirror.url, output),
            )
          : action === 'restore'
            ? certs.restore(registry)
            : certs.status(registry),
      );
    } catch (error) {
      problems.push(ShoalError.from(error).message);
    }
  }
  const config = action === 'restore' ? null : configReport(options);
  if (options.json === true)
    output.out(
      `${JSON.stringify({ ok: problems.length === 0, registries: results, config, problems })}\n`,
    );
  else if (preview.only) preview.show(output);
  else
    output.out(
      [
        ...results.map((result) => render(action, result)),
        ...(config === null ? [] : renderConfig(config, options.certsDir)),
      ]
        .map((line) => `${line}\n`)
        .join(''),
    );
  for (const problem of problems) output.err(`shoal: ${problem} (FILE_UNUSABLE)\n`);
  return problems.length === 0 ? 0 : 1;
}

export function mirrorOf({ mirror, ca }: Pick<ContainerdOptions, 'mirror' | 'ca'>): Mirror {
  const url = mirrorUrl(mirror);
  if (ca === undefined) return { url, ca: null };
  if (!url.startsWith('https:')) throw new ShoalError('USAGE', '--ca goes with an https --mirror');
  const path = resolve(ca);
  if (readText(systemDisk, path)?.includes('-----BEGIN CERTIFICATE-----') !== true)
    throw new ShoalError('USAGE', `--ca: ${path} holds no certificate (PEM)`);
  return { url, ca: path };
}

/** An unreadable config.toml does not stop the command; the files it writes do not depend on it. */
export function configReport({
  config,
  certsDir,
}: Pick<ContainerdOptions, 'config' | 'certsDir'>): ConfigReport {
  try {
    return { file: config, ...findConfigPath(readText(systemDisk, config), resolve(certsDir)) };
  } catch (error) {
    const reason = ShoalError.from(error).message;
    return {
      file: config,
      reads: 'no',
      lines: [],
      remarks: [reason.startsWith(config) ? reason : `${config}: ${reason}`],
    };
  }
}

function render(action: ContainerdAction, result: RegistryChange | RegistryStatus): string {
  const { registry, file, by, hosts, server } = result;
  const order = [...hosts, server ?? `the registry itself`].join(', then ');
  const state =
    by === 'nobody'
      ? `no ${file}: the registry itself`
      : `${file}${by === 'shoal' ? '' : ' (not written by Shoal)'}: ${order}`;
  if (action === 'status' || !('changed' in result)) return `${registry}: ${state}`;
  const verb = !result.changed ? 'as before' : action === 'configure' ? 'configured' : 'restored';
  const dropped =
    result.dropped.length === 0 ? '' : `; no longer used: ${result.dropped.join(', ')}`;
  return `${registry}: ${verb}; ${state}${dropped}`;
}

function renderConfig({ file, reads, lines, remarks }: ConfigReport, certsDir: string): string[] {
  const notes = remarks.map((remark) => `note: ${remark}`);
  if (reads === 'yes') return [`${file}: containerd reads ${certsDir}`, ...notes];
  const intro =
    reads === 'default'
      ? `${file} does not set config_path: containerd older than 2.2 needs it`
      : `${file}: containerd does not read ${certsDir}`;
  if (lines.length === 0) return [intro, ...notes];
  return [
    ...notes,
    `${intro}; add these lines (only the key if the table exists) and restart containerd:`,
    ...lines.map((line) => `    ${line}`),
  ];
}
