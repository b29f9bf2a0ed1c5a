import { closeSync, globSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

const MAGIC = 0x7f_45_4c_46;
/** ELF: `e_machine` of the header, two bytes. */
const MACHINE_OFFSET = 18;
const MACHINES: Record<number, string> = { 62: 'amd64', 183: 'arm64' };

/** Programs and libraries (ELF) under a directory: their paths, and what they run on. */
export function nativePrograms(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  const header = Buffer.alloc(MACHINE_OFFSET + 2);
  for (const entry of globSync('**/*', { cwd: directory, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const file = openSync(path, 'r');
    const bytes = readSync(file, header);
    closeSync(file);
    if (bytes < header.length || header.readUInt32BE(0) !== MAGIC) continue;
    const machine = header.readUInt16LE(MACHINE_OFFSET);
    found.set(path.slice(directory.length + 1), MACHINES[machine] ?? `machine ${machine}`);
  }
  return found;
}
