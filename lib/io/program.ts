import { spawn } from 'node:child_process';
import { CACHE_PROGRAM_TIMEOUT_MS } from './limits.ts';

/**
 * Runs one of the system's small programs to its end, quietly; `fd` becomes its descriptor 3. Its
 * exit code, null when it was killed (after CACHE_PROGRAM_TIMEOUT_MS), undefined when there is no
 * such program.
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
