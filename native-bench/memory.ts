import { execFile } from 'node:child_process';
import { freemem } from 'node:os';
import { promisify } from 'node:util';

const CHUNK_BYTES = 128 * 1024 * 1024;
const DEADLINE_MS = 120_000;

/**
 * Fills `bytes` of memory, at most half of what is free, and gives them back, in a process of its
 * own. On a virtual machine a page that nobody has used yet comes from the host at its first touch,
 * which costs processes under test up to 50 times as much as any later one (docs/PERFORMANCE.md).
 */
export async function fillMemory(bytes: number): Promise<void> {
  const chunks = Math.ceil(Math.min(bytes, freemem() / 2) / CHUNK_BYTES);
  const fill =
    `const kept = []; for (let chunk = 0; chunk < ${chunks}; chunk++) ` +
    `kept.push(Buffer.alloc(${CHUNK_BYTES}, 1));`;
  await promisify(execFile)(process.execPath, ['-e', fill], { timeout: DEADLINE_MS });
}
