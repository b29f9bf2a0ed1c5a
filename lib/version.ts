import { readFileSync } from 'node:fs';

const packageFile = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string; commit?: string | null };

/** The version of this program, as package.json has it. */
export const VERSION = packageFile.version;

/** The commit a package or image was built from; null in a checkout. */
export const COMMIT = packageFile.commit ?? null;
