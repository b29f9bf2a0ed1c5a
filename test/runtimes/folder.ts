import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own for each test of a suite, gone afterwards. */
export function ownFolder(): () => string {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-runtimes-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  return () => folder;
}

/** Everything under a folder: path, kind, mode, and content. */
export function snapshot(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(root, name);
      const stat = lstatSync(path);
      const content = stat.isSymbolicLink()
        ? `-> ${readlinkSync(path)}`
        : stat.isDirectory()
          ? '/'
          : readFileSync(path, 'latin1');
      return `${name} ${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${content}`;
    });
}
