import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const DEADLINE_MS = 600_000;

/**
 * Pulls `image` (host:port/repository:tag) as a container runtime does, digests checked and every
 * layer written, into the folder `target`. Rejects with skopeo's own words.
 */
export async function pullWithSkopeo(image: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await promisify(execFile)(
    'skopeo',
    ['copy', '--quiet', '--src-tls-verify=false', `docker://${image}`, `dir:${target}`],
    { timeout: DEADLINE_MS },
  );
}
