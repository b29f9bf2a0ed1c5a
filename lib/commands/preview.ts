import { systemDisk, type Disk } from '../runtimes/disk.ts';
import { Rehearsal } from '../runtimes/rehearsal.ts';
import type { Output } from './process-output.ts';

/** How a command that changes files was asked: `--write` and `--dry-run` exclude each other. */
export interface WriteOptions {
  write?: boolean;
  dryRun?: boolean;
}

/** The disk that a command works on: the real one, or one that only shows what would change. */
export class Preview {
  readonly #rehearsal: Rehearsal | null;
  readonly #hint: string;

  /** `byDefault`: whether the command writes without being told. */
  constructor({ write, dryRun }: WriteOptions, byDefault: boolean) {
    const writes = dryRun === true ? false : (write ?? byDefault);
    this.#rehearsal = writes ? null : new Rehearsal(systemDisk);
    this.#hint = byDefault ? 'leave out --dry-run' : 'add --write';
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
      output.err(`${what}; ${this.#hint} to ${text === null ? 'remove' : 'write'} it\n`);
    }
    if (planned.length === 0) output.err('nothing would change\n');
  }
}
