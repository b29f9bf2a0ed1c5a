import { DockerFile } from '../runtimes/docker-file.ts';
import type { Output } from './process-output.ts';
import { mirrorUrl } from './registry-names.ts';

export interface DockerOptions {
  file: string;
  mirror: string;
  write?: boolean;
}

export type DockerAction = 'configure' | 'restore';

/**
 * `shoal docker configure|restore`. Prints daemon.json with the node as a mirror of Docker Hub;
 * `--write` writes it. Returns 0. Throws USAGE for an invalid mirror, FILE_UNUSABLE naming the
 * file, which is then unchanged.
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
    output.err(`preview of ${options.file}; add --write to write it\n`);
    return 0;
  }
  const changed = action === 'configure' ? file.configure(mirror) : file.restore(mirror);
  const state =
    action === 'configure'
      ? `Docker asks ${mirror} first for images of Docker Hub`
      : `${mirror} is not a mirror`;
  output.out(`${options.file}: ${state}${changed ? '' : ' (unchanged)'}\n`);
  if (changed) output.out('to apply it, run: systemctl reload docker\n');
  return 0;
}
