import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Runtime } from './runtimes.ts';

/**
 * Binaries of uWebSockets.js in `directory`/node_modules that Node.js could load on Linux for one
 * of
 * the runtime's architectures, but that are not the pinned ones. A line for each, and one if there
 * is none at all.
 */
export function wrongBinaries(directory: string, { binaries }: Runtime): string[] {
  const found = globSync('node_modules/uWebSockets.js/**/*.node', { cwd: directory });
  const pinnedFound = found.filter((file) => basename(file) in binaries);
  if (pinnedFound.length === 0)
    return [`no pinned binary of uWebSockets.js in ${directory}; run npm ci`];
  return pinnedFound.flatMap((file) => {
    const pinned = binaries[basename(file)];
    const sha256 = createHash('sha256')
      .update(readFileSync(join(directory, file)))
      .digest('hex');
    return sha256 === pinned
      ? []
      : [`${file} has SHA-256 ${sha256}; deploy/release/runtimes.ts pins ${pinned}`];
  });
}
