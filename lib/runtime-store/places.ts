import { access } from 'node:fs/promises';
import { join } from 'node:path';

/** The directory of the content store under the root directory of a containerd. */
const CONTENT = 'io.containerd.content.v1.content';

/** Root directories of containerd as distributions set them. */
const ROOTS = [
  '/var/lib/containerd',
  '/var/lib/rancher/k3s/agent/containerd',
  '/var/lib/rancher/rke2/agent/containerd',
  '/var/lib/k0s/containerd',
  '/var/snap/microk8s/common/var/lib/containerd',
];

/**
 * The content store that `CacheConfig.runtimeStore` names: `off` gives null, `auto` the first of
 * the usual places that exists, and a path either the content store itself or the root directory of
 * a containerd. A named path need not exist yet: the runtime creates it at its first start.
 */
export async function findContentStore(
  setting: string,
  roots: readonly string[] = ROOTS,
): Promise<string | null> {
  if (setting === 'off') return null;
  if (setting !== 'auto')
    return (await exists(join(setting, CONTENT))) ? join(setting, CONTENT) : setting;
  for (const root of roots) {
    const dir = join(root, CONTENT);
    if (await exists(dir)) return dir;
  }
  return null;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
