import { join } from 'node:path';
import { ShoalError } from '../errors.ts';
import { readText, removeFile, replaceFile, systemDisk } from '../runtimes/disk.ts';
import { dropInFor, dropInName, isDropIn } from '../runtimes/podman-registries.ts';
import type { Output } from './process-output.ts';
import { mirrorUrl, registryNames, upstreamsOf } from './registry-names.ts';
import { serverFor } from './registry-server.ts';

export interface PodmanOptions {
  registry: string[];
  dir: string;
  mirror: string;
  /** `HOST=URL`: the registry behind a P2P host. */
  upstream?: string[];
  write?: boolean;
}

export type PodmanAction = 'configure' | 'restore';

/**
 * `shoal podman configure|restore`. Prints the drop-in of each registry; `--write` writes it. Each
 * drop-in is its own file, so no other file changes. Returns 0. Throws USAGE, and FILE_UNUSABLE
 * naming the file.
 */
export async function runPodman(
  action: PodmanAction,
  options: PodmanOptions,
  output: Output,
): Promise<number> {
  const mirror = mirrorUrl(options.mirror);
  const upstreams = upstreamsOf(options.upstream ?? []);
  for (const registry of registryNames(options.registry)) {
    const path = join(options.dir, dropInName(registry));
    const now = readText(systemDisk, path);
    if (now !== null && !isDropIn(now))
      throw new ShoalError('FILE_UNUSABLE', `${path}: not written by Shoal; left unchanged`);
    if (action === 'restore') {
      removeFile(systemDisk, path);
      output.out(`${path}: ${now === null ? 'does not exist' : 'removed'}\n`);
      continue;
    }
    const server = await serverFor(registry, upstreams, mirror, output);
    const text = dropInFor(registry, mirror, server);
    if (options.write !== true) {
      output.out(text);
      output.err(`preview of ${path}; add --write to write it\n`);
      continue;
    }
    if (text !== now) replaceFile(systemDisk, path, text);
    output.out(
      `${path}: images of ${registry} are pulled from ${mirror} ` +
        `first${text === now ? ' (unchanged)' : ''}\n`,
    );
  }
  return 0;
}
