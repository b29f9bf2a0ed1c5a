import { systemDisk } from '../../lib/runtimes/disk.ts';
import type { Disk } from '../../lib/runtimes/disk.ts';

/** What a change of the disk is, for counting. */
const CHANGES = new Set<keyof Disk>(['create', 'rename', 'remove', 'makeFolder', 'removeFolder']);

/** The process ends here: nothing more reaches the disk. */
export class Crash extends Error {}

/**
 * The system's disk for a process that ends after `steps` changes: from then on nothing is done and
 * everything fails.
 */
export function crashingDisk(steps: number): Disk {
  let left = steps;
  const step =
    (name: keyof Disk) =>
    (...args: never[]): unknown => {
      if (CHANGES.has(name) && left-- <= 0) throw new Crash(`ended before ${name}`);
      if (left < 0) throw new Crash(`ended before ${name}`);
      return (systemDisk[name] as (...args: never[]) => unknown)(...args);
    };
  return Object.fromEntries(
    (Object.keys(systemDisk) as (keyof Disk)[]).map((name) => [name, step(name)]),
  ) as unknown as Disk;
}

/** The system's disk where `name` fails with a system error. */
export function failingDisk(name: keyof Disk, code: string): Disk {
  return {
    ...systemDisk,
    [name]: () => {
      throw Object.assign(new Error(code), { code });
    },
  };
}
