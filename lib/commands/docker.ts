import { DockerFile, type DockerStatus } from '../runtimes/docker-file.ts';
import { Preview, type WriteOptions } from './preview.ts';
import type { Output } from './process-output.ts';
import { mirrorUrl } from './registry-names.ts';

export interface DockerOptions extends WriteOptions {
  file: string;
  mirror: string;
  json?: boolean;
}

export type DockerAction = 'configure' | 'restore' | 'status';

/**
 * `shoal docker configure|restore|status`. `configure` writes the node into daemon.json as a mirror
 * of Docker Hub. Returns 0. Throws USAGE for an invalid mirror, FILE_UNUSABLE
 * naming the file, which is then unchanged.
 */
export async function runDocker(
  action: DockerAction,
  options: DockerOptions,
  output: Output,
): Promise<number> {
  const preview = new Preview(options);
  const file = new DockerFile(options.file, preview.disk);
  const mirror = mirrorUrl(options.mirror);
  if (action === 'status') {
    const status = file.status(mirror);
    output.out(options.json === true ? `${JSON.stringify(status)}\n` : renderStatus(status));
    return 0;
  }
  const changed = action === 'configure' ? file.configure(mirror) : file.restore(mirror);
  if (preview.only) {
    preview.show(output);
    return 0;
  }
  const state =
    action === 'configure'
      ? `Docker asks ${mirror} first for images of Docker Hub`
      : `${mirror} is not a mirror`;
  output.out(`${options.file}: ${state}${changed ? '' : ' (unchanged)'}\n`);
  if (changed) output.out('to apply it, run: systemctl reload docker\n');
  return 0;
}

function renderStatus({ file, mirrors, first, backup }: DockerStatus): string {
  const order = [...mirrors, "Docker Hub's registry"].join(', then ');
  return [
    `file    ${file}`,
    `node    ${first ? 'asked first' : 'not the first mirror'}`,
    `order   ${order}`,
    `backup  ${backup ?? 'none'}`,
    '',
  ].join('\n');
}
