import { basename, delimiter, dirname, relative } from 'node:path';

/** What of a process tells how it was started. */
interface Start {
  argv: readonly string[];
  env: NodeJS.ProcessEnv;
  cwd(): string;
}

/**
 * How the user started this program, for hints that can be copied: `shoal`, `./bin/shoal`, `npx
 * shoal`, `npm run -s shoal --` in a clone, or `node lib/shoal.js`.
 */
export function calledAs({ argv, env, cwd }: Start = process): string {
  if (env['npm_command'] === 'exec') return 'npx shoal';
  if (env['npm_lifecycle_event'] !== undefined) return 'npm run -s shoal --';
  // The launcher of the tar, .deb and .rpm starts a Node.js of its own and names itself.
  const started = env['SHOAL_LAUNCHER'] ?? argv[1] ?? 'shoal';
  if (!started.includes('/')) return started;
  if (started.endsWith('.js')) return `node ${shorter(started, cwd())}`;
  const isFound = (env['PATH'] ?? '').split(delimiter).includes(dirname(started));
  return isFound ? basename(started) : shorter(started, cwd());
}

/** A path below the working directory as the user would type it there. */
function shorter(path: string, cwd: string): string {
  const below = path.startsWith('/') ? relative(cwd, path) : path;
  if (below.startsWith('..')) return path;
  return below.includes('/') ? below : `./${below}`;
}

/** A message with the commands at line starts and in backquotes as the user calls them. */
export function withCalled(message: string, shoal: string): string {
  return message.replaceAll(/(?<=^|`)shoal (?=[a-z])/gm, () => `${shoal} `);
}
