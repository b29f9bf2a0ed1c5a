import { spawn } from 'node:child_process';
import { CACHE_PROGRAM_TIMEOUT_MS } from './limits.ts';

/**
 * Runs a small system program to its end, without output; `fd` becomes its descriptor 3. Returns
 * its exit code, null if it was killed (after CACHE_PROGRAM_TIMEOUT_MS), undefined if it does not
 * exist.
 */
export function runProgram(
  program: string,
  args: string[],
  fd?: number,
): Promise<number | null | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'ignore', fd ?? 'ignore'],
      timeout: CACHE_PROGRAM_TIMEOUT_MS,
    });
    child.on('error', () => resolve(undefined));
    child.on('exit', (code) => resolve(code));
  });
}
