/*
 * `npm run check`: types, format, lint, and the project's own rules for its sources. Prints one
 * line
 * per violation; exits with 1 when there is one.
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
import { wrongBinaries } from '../../deploy/release/native-binaries.ts';
import { PORTABLE } from '../../deploy/release/runtimes.ts';
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
  rule('native binaries', wrongBinaries(repositoryRoot, PORTABLE)),
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
