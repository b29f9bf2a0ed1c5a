/*
 * Writes what is made from the chart: its README, and the plain manifests for who does not use
 * helm.
 *
 *   node deploy/render.ts     (helm on PATH, or from test/kube/assets.sh)
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { kubeAssets } from '../test/kube/assets.ts';
import { findProgram } from '../test/programs.ts';
import { chartReadme } from './chart-readme.ts';

export const CHART = fileURLToPath(new URL('helm/shoal/', import.meta.url));
const MANIFESTS = fileURLToPath(new URL('manifests/', import.meta.url));
/** Only `helm` needs it, to check the chart's kubeVersion. */
const KUBE_VERSION = '1.34.0';

/**
 * The objects of the chart as helm renders them, in namespace `shoal`. `values`: arguments for
 * `--set`.
 */
export function renderChart(
  helm: string,
  values: readonly string[] = [],
  files: readonly string[] = [],
): string {
  const args = [
    ...values.flatMap((value) => ['--set', value]),
    ...files.flatMap((file) => ['-f', file]),
  ];
  return execFileSync(
    helm,
    ['template', 'shoal', CHART, '--namespace', 'shoal', '--kube-version', KUBE_VERSION, ...args],
    { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 },
  );
}

/**
 * The plain manifests by file name: the chart's defaults, with a cluster secret that is made by
 * hand (a rendered one would not be secret).
 */
export function manifests(helm: string): Map<string, string> {
  const files = new Map<string, string>([['namespace.yaml', NAMESPACE]]);
  for (const document of renderChart(helm, [
    'clusterSecret.existingSecret=shoal-cluster-secret',
  ]).split(/^---\n/m)) {
    const source = /^# Source: shoal\/templates\/(.*)$/m.exec(document)?.[1];
    if (source === undefined) continue;
    const text = document
      .replace(/^# Source: .*\n/m, '')
      .replaceAll('app.kubernetes.io/managed-by: Helm', 'app.kubernetes.io/managed-by: kubectl');
    files.set(source, files.has(source) ? `${files.get(source)!}---\n${text}` : text);
  }
  return files;
}

/** The README as it should stand. */
export function readme(): string {
  return chartReadme(
    JSON.parse(readFileSync(`${CHART}values.schema.json`, 'utf8')),
    parse(readFileSync(`${CHART}values.yaml`, 'utf8')),
  );
}

const NAMESPACE = `apiVersion: v1
kind: Namespace
metadata:
  name: shoal
  labels:
    # Agents use the node's network and a directory of the node.
    pod-security.kubernetes.io/enforce: privileged
`;

if (import.meta.main) {
  writeFileSync(`${CHART}README.md`, readme());
  const helm = findProgram('helm') ?? kubeAssets.find('helm');
  if (helm === null) throw new Error('no helm: run test/kube/assets.sh');
  rmSync(MANIFESTS, { recursive: true, force: true });
  mkdirSync(MANIFESTS);
  for (const [name, text] of manifests(helm)) writeFileSync(`${MANIFESTS}${name}`, text);
}
