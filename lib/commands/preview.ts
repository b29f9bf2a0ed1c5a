import { systemDisk, type Disk } from '../runtimes/disk.ts';
import { Rehearsal } from '../runtimes/rehearsal.ts';
import type { Output } from './process-output.ts';

/** How a command that changes files was asked: it writes without `--dry-run`. */
export interface WriteOptions {
  dryRun?: boolean;
}

/** The disk that a command works on: the real one, or one that only shows what would change. */
export class Preview {
  readonly #rehearsal: Rehearsal | null;

  constructor({ dryRun }: WriteOptions) {
    this.#rehearsal = dryRun === true ? new Rehearsal(systemDisk) : null;
  }

  /** Whether nothing is written. */
  get only(): boolean {
    return this.#rehearsal !== null;
  }

  get disk(): Disk {
    return this.#rehearsal ?? systemDisk;
  }

  /** Prints the new content of each file that would change, after the command's work. */
  show(output: Output): void {
    const planned = this.#rehearsal?.planned ?? [];
    for (const { path, text } of planned) {
      output.out(text ?? '');
      const what = text === null ? `${path} would be removed` : `preview of ${path}`;
      const change = text === null ? 'remove' : 'write';
      output.err(`${what}; leave out --dry-run to ${change} it\n`);
    }
    if (planned.length === 0) output.err('nothing would change\n');
  }
}
