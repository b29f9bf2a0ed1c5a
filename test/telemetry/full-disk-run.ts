import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Runs full-disk.ts; what was told, and the lines of the file: the length of those of x, the text
 * of others.
 */
export function withFullDisk(
  kind: 'lines' | 'audit',
  directory: string,
): { told: unknown[]; lines: (number | string)[] } {
  const program = fileURLToPath(new URL('./full-disk.ts', import.meta.url));
  const printed = execFileSync(
    'sh',
    ['-c', 'ulimit -f 16 && exec "$@"', 'sh', process.execPath, program, kind, directory],
    { encoding: 'utf8', timeout: 20_000 },
  );
  const lines = readFileSync(`${directory}/audit.log`, 'utf8').split('\n');
  return {
    told: JSON.parse(printed) as unknown[],
    lines: lines.map((line) => (/^x+$/.test(line) ? line.length : line)),
  };
}
