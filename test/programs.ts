import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Context } from 'mocha';

/** Debian keeps daemons where an ordinary user's PATH does not lead. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of a program of this machine, or null. */
export function findProgram(name: string): string | null {
  for (const directory of [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...SYSTEM_DIRECTORIES,
  ]) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this directory.
    }
  }
  return null;
}

/**
 * Skips the test or suite, aloud, when a program it needs is missing; with SHOAL_REQUIRE_ALL=1
 * fails it instead. To be called first in a `before` or a test: `needs(this, 'skopeo',
 * 'containerd')`.
 */
export function needs(context: Context, ...programs: string[]): void {
  const missing = programs.filter((name) => findProgram(name) === null);
  if (missing.length === 0) return;
  const message =
    `not tested: ${missing.join(', ')} missing on this machine (.ci/run installs what the ` +
    'tests need)';
  if (process.env['SHOAL_REQUIRE_ALL'] === '1') throw new Error(message);
  console.error(`      ${message}`);
  context.skip();
}
