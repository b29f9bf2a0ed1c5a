import { accessSync, constants, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Context } from 'mocha';

export type KubeProgram = 'etcd' | 'kube-apiserver' | 'helm';

const version = /^KUBERNETES_VERSION=(\S+)$/m.exec(readFileSync(new URL('assets.sh', import.meta.url), 'utf8'))![1]!;
const directories = [process.env['KUBEBUILDER_ASSETS'], join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal/kube-assets', version)];

/** The path of a program that test/kube/assets.sh provides, or null. */
export function findAsset(program: KubeProgram): string | null {
  for (const directory of directories) {
    if (directory === undefined || directory === '') continue;
    try {
      accessSync(join(directory, program), constants.X_OK);
      return join(directory, program);
    } catch {
      // Not in this directory.
    }
  }
  return null;
}

/** Skips the suite or test, aloud, when one is missing; with SHOAL_REQUIRE_ALL=1 fails it instead. Returns their paths. */
export function needsAssets(context: Context, ...programs: KubeProgram[]): string[] {
  const paths = programs.map(findAsset);
  if (paths.every((path) => path !== null)) return paths;
  const message = `not tested: ${programs.filter((_, at) => paths[at] === null).join(', ')} missing (test/kube/assets.sh provides them)`;
  if (process.env['SHOAL_REQUIRE_ALL'] === '1') throw new Error(message);
  console.error(`      ${message}`);
  context.skip();
}
