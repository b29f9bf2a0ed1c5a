/**
 * How the user started this program, for hints that can be copied: `shoal`, `npx shoal`,
 * `npm run -s shoal --` in a clone, or `node lib/shoal.js`. `argv` and `env` are the process's.
 */
export function calledAs(argv: readonly string[], env: NodeJS.ProcessEnv): string {
  if (env['npm_command'] === 'exec') return 'npx shoal';
  if (env['npm_lifecycle_event'] !== undefined) return 'npm run -s shoal --';
  const script = argv[1] ?? 'shoal';
  return script.endsWith('.js') ? `node ${script}` : 'shoal';
}
