import { DockerFile } from '../runtimes/docker-file.ts';
import type { Output } from './program.ts';
import { mirrorUrl } from './registry-names.ts';

export interface DockerOptions {
  file: string;
  mirror: string;
  write?: boolean;
}

export type DockerAction = 'configure' | 'restore';

/**
 * `shoal docker configure|restore`: prints daemon.json with the node as a mirror of Docker Hub, or
 * with `--write` puts it in place. Returns 0. Throws USAGE for a bad mirror, FILE_UNUSABLE naming
 * the file, which is then as it was.
 */
export async function runDocker(
  action: DockerAction,
  options: DockerOptions,
  output: Output,
): Promise<number> {
  const file = new DockerFile(options.file);
  const mirror = mirrorUrl(options.mirror);
  if (action === 'configure' && options.write !== true) {
    output.out(file.preview(mirror));
    output.err(`${options.file} as it would be; --write puts it in place\n`);
    return 0;
  }
  const changed = action === 'configure' ? file.configure(mirror) : file.restore(mirror);
  const state =
    action === 'configure'
      ? `Docker Hub's images are asked for at ${mirror} first`
      : `${mirror} is no mirror`;
  output.out(`${options.file}: ${state}${changed ? '' : ' (as before; nothing was changed)'}\n`);
  if (changed) output.out('Docker reads it on: systemctl reload docker\n');
  return 0;
}
