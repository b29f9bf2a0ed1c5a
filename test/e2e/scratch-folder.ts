import { mkdtemp, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MEMORY_FOLDER = '/dev/shm';
const ROOM_BYTES = 1024 ** 3;

/**
 * A new folder, in memory where there is room: containerd and podman wait for the disk with each
 * layer they unpack.
 */
export async function scratchFolder(): Promise<string> {
  const memory = await statfs(MEMORY_FOLDER).catch(() => null);
  return mkdtemp(
    join(
      memory !== null && memory.bavail * memory.bsize >= ROOM_BYTES ? MEMORY_FOLDER : tmpdir(),
      'shoal-clients-',
    ),
  );
}
