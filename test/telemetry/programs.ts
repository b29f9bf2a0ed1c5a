import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Whether a program of the machine is there for a test that needs it. When it is not, the test says so aloud and
 * passes; with SHOAL_REQUIRE_ALL=1 it fails.
 */
export function hasProgram(name: string, debianPackage: string): boolean {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      // Not in this directory.
    }
  }
  const message = `${name} is missing (Debian package ${debianPackage}): not tested`;
  if (process.env['SHOAL_REQUIRE_ALL'] === '1') throw new Error(message);
  console.error(`      ${message}`);
  return false;
}
