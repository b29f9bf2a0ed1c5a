/*
 * `npm run check`: types, lint, and the rules of the house that no linter knows. Says everything
 * that is wrong, one line each, and exits 1 when anything is.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import {
  cyclesIn,
  ARROWS,
  impurities,
  leftovers,
  longFiles,
  machinePaths,
  wideLines,
  wrongArrows,
} from './source-rules.ts';
import { forbiddenPlaces, repositoryRoot, sourceFiles } from './source-tree.ts';

const files = sourceFiles();
const results = [
  program('types', 'tsc', ['--noEmit']),
  program('format', 'oxfmt', ['--check']),
  program('lint', 'oxlint', ['--deny-warnings']),
  rule('arrows', [...cyclesIn(ARROWS), ...wrongArrows(files)]),
  rule('pure core', impurities(files)),
  rule('file sizes', longFiles(files)),
  rule('line widths', wideLines(files)),
  rule('leftovers', leftovers(files)),
  rule('machine paths', machinePaths(files, forbiddenPlaces())),
];
process.exitCode = results.every(Boolean) ? 0 : 1;

function program(what: string, name: string, args: string[]): boolean {
  const { status, error } = spawnSync(join(repositoryRoot, 'node_modules/.bin', name), args, {
    cwd: repositoryRoot,
    stdio: 'inherit',
  });
  return rule(what, status === 0 ? [] : [`${name} ${error?.message ?? `exited with ${status}`}`]);
}

function rule(what: string, complaints: string[]): boolean {
  console.log(`${complaints.length === 0 ? 'ok    ' : 'failed'} ${what}`);
  for (const complaint of complaints) console.log(`       ${complaint}`);
  return complaints.length === 0;
}
