import { accessSync, constants, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Context } from 'mocha';

/** Programs that the assets.sh of a folder of tests provides. */
export class Assets<Program extends string> {
  readonly #script: string;
  readonly #directories: string[];

  /** `folder` within test/; `firstDirectories` are looked into before what the script made. */
  constructor(folder: string, ...firstDirectories: (string | undefined)[]) {
    this.#script = `test/${folder}/assets.sh`;
    const text = readFileSync(new URL(`${folder}/assets.sh`, import.meta.url), 'utf8');
    const [name, version] = ['name', 'VERSION'].map(
      (key) => new RegExp(`^${key}=(\\S+)$`, 'm').exec(text)![1]!,
    ) as [string, string];
    const made = join(
      process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
      'shoal',
      name,
      version,
    );
    this.#directories = [
      ...firstDirectories.filter((path) => path !== undefined && path !== ''),
      made,
    ] as string[];
  }

  /** The path of one, or null. */
  find(program: Program): string | null {
    for (const directory of this.#directories) {
      try {
        accessSync(join(directory, program), constants.X_OK);
        return join(directory, program);
      } catch {
        // Not in this directory.
      }
    }
    return null;
  }

  /**
   * Skips the suite or test, aloud, when one is missing; with SHOAL_REQUIRE_ALL=1 fails it instead.
   * Returns their paths.
   */
  needs(context: Context, ...programs: Program[]): string[] {
    const paths = programs.map((program) => this.find(program));
    if (paths.every((path) => path !== null)) return paths;
    const message =
      `not tested: ${programs.filter((_, at) => paths[at] === null).join(', ')} missing ` +
      `(${this.#script} provides them)`;
    if (process.env['SHOAL_REQUIRE_ALL'] === '1') throw new Error(message);
    console.error(`      ${message}`);
    context.skip();
  }
}
