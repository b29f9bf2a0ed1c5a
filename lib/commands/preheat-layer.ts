import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { BlobDescriptor } from '../demo/image.ts';
import { ShoalError } from '../errors.ts';
import { PREHEAT_FRUITLESS_MAX, PREHEAT_RETRY_MS_MAX, PREHEAT_RETRY_MS_MIN } from './limits.ts';

/** Where blobs are read from. */
export interface BlobSource {
  /**
   * The bytes of a blob from `startBytes` to its end. Rejects with a ShoalError: ORIGIN_REFUSED
   * with the status, ORIGIN_UNREACHABLE, ORIGIN_BROKEN when it breaks off.
   */
  read(repository: string, digest: string, startBytes: number): AsyncIterable<Uint8Array>;
}

/**
 * Reads a blob to its end and forgets it. Where it breaks off it is asked for again, from the next
 * byte on, until so many attempts in a row have brought nothing. Throws the last failure, or
 * DIGEST_MISMATCH when other bytes came than it names.
 */
export async function readLayer(
  source: BlobSource,
  repository: string,
  blob: BlobDescriptor,
  clock: Clock,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hash = createHash('sha256');
  let readBytes = 0;
  let fruitless = 0;
  for (;;) {
    const startBytes = readBytes;
    let failure: ShoalError;
    try {
      for await (const part of source.read(repository, blob.digest, startBytes)) {
        hash.update(part);
        readBytes += part.length;
        onBytes(part.length);
      }
      failure = new ShoalError(
        'ORIGIN_BROKEN',
        `blob ${blob.digest} ended after ${readBytes} of ${blob.sizeBytes} bytes`,
      );
    } catch (error) {
      failure = ShoalError.from(error, 'ORIGIN_BROKEN');
    }
    if (readBytes >= blob.sizeBytes) break;
    fruitless = readBytes > startBytes ? 0 : fruitless + 1;
    if (!isPassing(failure) || fruitless >= PREHEAT_FRUITLESS_MAX) throw failure;
    await pause(clock, Math.min(PREHEAT_RETRY_MS_MAX, PREHEAT_RETRY_MS_MIN * 2 ** fruitless));
  }
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== blob.digest)
    throw new ShoalError(
      'DIGEST_MISMATCH',
      `blob ${blob.digest} arrived as ${digest}, ${readBytes} of ${blob.sizeBytes} bytes`,
    );
}

/** Whether asking again may help: not after a clear no. */
export function isPassing({ code, status }: ShoalError): boolean {
  return (
    code === 'ORIGIN_UNREACHABLE' ||
    code === 'ORIGIN_BROKEN' ||
    (code === 'ORIGIN_REFUSED' && (status >= 500 || status === 408 || status === 429))
  );
}

export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((give) => void clock.after(delayMs, give));
}
