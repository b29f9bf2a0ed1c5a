import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SourceFile } from './source-rules.ts';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const TEXT_ENDING = /\.(?:ts|js|mjs|json|md|ya?ml|sh|css|html|svg|toml|txt|tpl)$/;
const TEXT_NAME = /(?:^|\/)(?:Dockerfile|run|LICENSE|\.[a-z]+rc|\.gitignore)$/;
const isText = (path: string): boolean => TEXT_ENDING.test(path) || TEXT_NAME.test(path);

/** The text files of the repository: what git follows, and what it would if it were added. */
export function sourceFiles(): SourceFile[] {
  const listed = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: repositoryRoot, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const paths = [...new Set(listed.split('\0'))].filter(
    (path) =>
      isText(path) && path !== 'package-lock.json' && existsSync(join(repositoryRoot, path)),
  );
  return paths.map((path) => ({ path, text: readFileSync(join(repositoryRoot, path), 'utf8') }));
}

/** What no file may name: this clone's own place, and the papers the work was ordered with. */
export function forbiddenPlaces(): string[] {
  const own = repositoryRoot.split('/').length > 2 ? [repositoryRoot] : [];
  return [...own, ['..', 'shared', ''].join('/')];
}
