import { join } from 'node:path';
import { ShoalError } from '../errors.ts';
import {
  exists,
  readText,
  removeFile,
  replaceFile,
  unusable,
  type Disk,
} from '../runtimes/disk.ts';
import {
  dropInFor,
  dropInName,
  isDropIn,
  readDropIn,
  type DropIn,
} from '../runtimes/podman-registries.ts';
import { Preview, type WriteOptions } from './preview.ts';
import type { Output } from './process-output.ts';
import { mirrorUrl, registryNames, upstreamsOf } from './registry-names.ts';
import { serverFor } from './registry-server.ts';

export interface PodmanOptions extends WriteOptions {
  registry: string[];
  dir: string;
  mirror: string;
  /** `HOST=URL`: the registry behind a P2P host. */
  upstream?: string[];
  json?: boolean;
}

export type PodmanAction = 'configure' | 'restore' | 'status';

/**
 * `shoal podman configure|restore|status`. `configure` writes the drop-in of each registry.
 * Each drop-in is its own file, so no other file changes. Returns 0. Throws
 * USAGE, and FILE_UNUSABLE naming the file.
 */
export async function runPodman(
  action: PodmanAction,
  options: PodmanOptions,
  output: Output,
): Promise<number> {
  const preview = new Preview(options);
  const { disk } = preview;
  if (action === 'status') {
    const found = dropInsIn(disk, options.dir);
    const text =
      options.json === true ? JSON.stringify({ dropIns: found }) : render(options.dir, found);
    output.out(`${text}\n`);
    return 0;
  }
  const mirror = mirrorUrl(options.mirror);
  const upstreams = upstreamsOf(options.upstream ?? []);
  for (const registry of registryNames(options.registry)) {
    const path = join(options.dir, dropInName(registry));
    const now = readText(disk, path);
    if (now !== null && !isDropIn(now))
      throw new ShoalError('FILE_UNUSABLE', `${path}: not written by Shoal; left unchanged`);
    let done = now === null ? 'does not exist' : 'removed';
    if (action === 'restore') removeFile(disk, path);
    else {
      const server = await serverFor(registry, upstreams, mirror, output);
      const text = dropInFor(registry, mirror, server);
      if (text !== now) replaceFile(disk, path, text);
      done = `${order({ registry, mirror })}${text === now ? ' (unchanged)' : ''}`;
    }
    if (!preview.only) output.out(`${path}: ${done}\n`);
  }
  if (preview.only) preview.show(output);
  return 0;
}

function order({ registry, mirror }: DropIn): string {
  return `images of ${registry} are pulled from ${mirror} first`;
}

function dropInsIn(disk: Disk, dir: string): (DropIn & { file: string })[] {
  try {
    const names = exists(disk, dir) ? disk.list(dir) : [];
    return names.toSorted().flatMap((name) => {
      const file = join(dir, name);
      const text = name.endsWith('.conf') ? readText(disk, file) : null;
      return text !== null && isDropIn(text) ? [{ file, ...readDropIn(text) }] : [];
    });
  } catch (error) {
    throw unusable(dir, 'cannot be read', error);
  }
}

function render(dir: string, found: readonly (DropIn & { file: string })[]): string {
  if (found.length === 0) return `${dir}: no registry is pulled through this node`;
  return found.map((one) => `${one.file}: ${order(one)}`).join('\n');
}
