import { readFileSync } from 'node:fs';

const packageFile = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string; commit?: string | null };

/** The version of this program, as package.json has it. */
export const VERSION = packageFile.version;

/** The commit a package or image was built from, or a clone is at; null where nothing tells. */
export const COMMIT = packageFile.commit ?? commitOf(new URL('../.git/', import.meta.url));

/** The commit that a clone's `.git` directory has checked out. */
export function commitOf(git: URL): string | null {
  const read = (path: string): string | null => {
    try {
      return readFileSync(new URL(path, git), 'utf8').trim();
    } catch {
      return null;
    }
  };
  const head = read('HEAD');
  const ref = /^ref: (.+)$/.exec(head ?? '')?.[1];
  const packed = read('packed-refs')?.split('\n') ?? [];
  const named =
    ref === undefined
      ? head
      : (read(ref) ?? packed.find((line) => line.endsWith(` ${ref}`))?.split(' ')[0]);
  return named?.slice(0, 12) ?? null;
}
