import { readFileSync } from 'node:fs';

const packageFile = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** The version of this program, as package.json has it. */
export const VERSION = packageFile.version;
