import fs from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { PAGE_BYTES } from '../limits.ts';
import { sharedMemory } from './shared-memory.ts';

const WASM_PAGE_BYTES = 65_536;
const { O_RDWR, O_CREAT, O_NOFOLLOW, O_DIRECT } = fs.constants;

export const readAt = promisify(fs.read);
export const writeAt = promisify(fs.write);

/** `bytes`, rounded up to a whole page. */
export function pageCeil(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/**
 * Opens a file for reading and writing and creates it if necessary. Symbolic links are not
 * followed: their target may belong to someone else.
 */
export function openOwn(path: string): Promise<FileHandle> {
  return open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
}

/**
 * Opens an existing file of at least two pages with O_DIRECT. Returns undefined if the filesystem
 * refuses it, at the open (EINVAL) or at the first read. Only WebAssembly memory is page-aligned;
 * plain buffers fail.
 */
export async function openDirect(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, O_RDWR | O_NOFOLLOW | O_DIRECT);
    const memory = sharedMemory(1, 'an aligned buffer');
    const page = new Uint8Array(memory.buffer, WASM_PAGE_BYTES - PAGE_BYTES, PAGE_BYTES);
    await readAt(file.fd, page, 0, PAGE_BYTES, PAGE_BYTES);
    return file;
  } catch (error) {
    await file?.close();
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw error;
  }
}
