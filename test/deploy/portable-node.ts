import { dirname, join } from 'node:path';
import { download, extract } from '../../deploy/release/files.ts';
import { PORTABLE } from '../../deploy/release/runtimes.ts';

/**
 * A directory with the `node` that deploy/Dockerfile builds with, on linux/amd64: that of this
 * process when it has the same major version, else one that is unpacked in `directory`.
 */
export function portableNode(directory: string): string {
  const { version } = PORTABLE.node.amd64;
  if (process.versions.node.split('.')[0] === version.split('.')[0])
    return dirname(process.execPath);
  extract(download(PORTABLE.node.amd64), directory, ['bin/node']);
  return join(directory, 'bin');
}
