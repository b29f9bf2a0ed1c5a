import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../lib/cluster/kubernetes/client.ts';
import { CHART } from '../../deploy/render.ts';

/** The objects of rendered YAML. */
export const objectsOf = (text: string): KubeObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);

/** The first object of that kind and name; fails the test without one. */
export const find = (objects: KubeObject[], kind: string, name: RegExp = /./): KubeObject => {
  const found = objects.find((object) => object.kind === kind && name.test(object.metadata.name));
  assert.ok(found, `no ${kind} ${String(name)}`);
  return found;
};

/** `helm template` with values as YAML text. */
export function template(
  helm: string,
  values: string,
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(
    helm,
    ['template', 'shoal', CHART, '-n', 'shoal', '--kube-version', '1.34.0', '-f', '-'],
    { encoding: 'utf8', input: `${values}\n` },
  );
}
