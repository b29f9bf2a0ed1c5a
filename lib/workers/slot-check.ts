import { hash } from 'node:crypto';
import { ShoalError } from '../errors.ts';
import type { Arena } from '../io/arena.ts';
import { checksumOf } from '../io/checksum.ts';
import { SHARD_BYTES } from '../limits.ts';

interface CheckedJob {
  slot: number;
  digest: string | null;
}

/**
 * Whether the shard is all of a blob whose digest is known: then it is checked before anybody sees
 * it.
 */
export function isWholeBlob(job: Pick<CheckedJob, 'digest'>, totalBytes: number): boolean {
  return job.digest !== null && totalBytes <= SHARD_BYTES;
}

/**
 * The checksum (hex) of the whole shard in the slot. Throws DIGEST_MISMATCH when it is all of its
 * blob and not what the digest says.
 */
export function checksumSlot(
  job: CheckedJob,
  lengthBytes: number,
  totalBytes: number,
  arena: Arena,
): string {
  const bytes = arena.bytes(job.slot, 0, lengthBytes);
  if (isWholeBlob(job, totalBytes) && `sha256:${hash('sha256', bytes, 'hex')}` !== job.digest) {
    throw new ShoalError(
      'DIGEST_MISMATCH',
      `what was received for ${job.digest} has another digest`,
    );
  }
  return checksumOf(bytes).toString('hex');
}
