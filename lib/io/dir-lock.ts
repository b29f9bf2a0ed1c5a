import fs from 'node:fs';
import { link, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from './program.ts';

/** `held`: another process has locked the directory. Releasing twice is harmless. */
export type DirLock = { kind: 'locked'; release(): Promise<void> } | { kind: 'held' };

/**
 * Locks a directory for this process until released or until the process ends in any way: flock(2)
 * on the directory, which the kernel releases even after kill -9. Node.js has no call for it, so
 * the program `flock` locks an open file that it inherits and this process keeps. Without that
 * program a file `lock` names the holder.
 */
export async function lockDir(dir: string, flockProgram = 'flock'): Promise<DirLock> {
  const handle = await open(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  const exitCode = await runProgram(flockProgram, ['-n', '3'], handle.fd);
  if (exitCode === 0) return { kind: 'locked', release: () => handle.close() };
  await handle.close();
  return exitCode === 1 ? { kind: 'held' } : lockByFile(dir);
}

/** Tries of this process, which may run at once: each has a file of its own. */
let tries = 0;

/**
 * Linking is atomic, and so is moving a dead holder's file away. Only the process that moved it has
 * to check that the holder was dead.
 */
async function lockByFile(dir: string): Promise<DirLock> {
  const path = join(dir, 'lock');
  const own = join(dir, `lock.${process.pid}.${tries++}`);
  await writeFile(own, (await identityOf(process.pid)) ?? String(process.pid));
  try {
    for (let attempt = 0; attempt < 2; attempt++) {
      if (await linked(own, path))
        return { kind: 'locked', release: () => rm(path, { force: true }) };
      const holder = await readFile(path, 'utf8').catch(() => '');
      if (await isAlive(holder)) return { kind: 'held' };
      const aside = `${own}.stale`;
      await rename(path, aside).catch(() => undefined);
      const moved = await readFile(aside, 'utf8').catch(() => '');
      const wasAlive = await isAlive(moved);
      if (wasAlive) await linked(aside, path);
      await rm(aside, { force: true });
      if (wasAlive) return { kind: 'held' };
    }
    return { kind: 'held' };
  } finally {
    await rm(own, { force: true });
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A pid and its start time (field 22 of proc(5) stat): pids are reused, the pair is not. */
async function identityOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The name, field 2, may contain spaces and parentheses: count from its end.
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return undefined;
  }
}

async function isAlive(identity: string): Promise<boolean> {
  const pid = Number.parseInt(identity, 10);
  return Number.isInteger(pid) && (await identityOf(pid)) === identity;
}
