import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Arena } from './arena.ts';
import { checksumOf } from './checksum.ts';

/** A read of one shard from a file that is not ours into an arena slot. */
export interface FileReadJob {
  path: string;
  offsetBytes: number;
  lengthBytes: number;
  /** The caller has begun it and alone writes to it. */
  slot: number;
  /** What the bytes must hash to. */
  checksum: Uint8Array;
}

/** `gone`: no such file, or it ends before the shard. `changed`: the checksum is another one. */
export type FileReadOutcome = 'ok' | 'gone' | 'changed';

/** Reads and checks a shard. Rejects when the file cannot be read. */
export async function readFilePart(arena: Arena, job: FileReadJob): Promise<FileReadOutcome> {
  const bytes = arena.bytes(job.slot, 0, job.lengthBytes);
  if (!(await fill(job.path, job.offsetBytes, bytes))) return 'gone';
  return Buffer.compare(checksumOf(bytes), job.checksum) === 0 ? 'ok' : 'changed';
}

/**
 * Fills `bytes` from a file, from `offsetBytes` on; false if there is no such file or it ends
 * before. The file is opened for each read, because its owner may remove it, and an open file would
 * keep its space. A symbolic link is not followed, and opening a pipe does not wait.
 */
export async function fill(path: string, offsetBytes: number, bytes: Uint8Array): Promise<boolean> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let file: FileHandle | null = null;
  try {
    file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    let doneBytes = 0;
    while (doneBytes < bytes.length) {
      const { bytesRead } = await file.read(
        bytes,
        doneBytes,
        bytes.length - doneBytes,
        offsetBytes + doneBytes,
      );
      if (bytesRead === 0) return false;
      doneBytes += bytesRead;
    }
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw thrown;
  } finally {
    await file?.close();
  }
}
