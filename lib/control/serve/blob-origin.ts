import type { OriginTarget } from '../../origin-target.ts';
import type { BlobName } from '../../workers/messages.ts';

/** The digest that the blob must have, if it can be checked. */
export function sha256Of({ digest }: BlobName): string | null {
  return digest?.startsWith('sha256:') === true ? digest : null;
}

export function originOf(
  blob: BlobName,
  authorization: string | null,
  saidBytes: number | null,
): OriginTarget {
  const { url, upstreamHost } = blob;
  return { url, upstreamHost, authorization, ...(saidBytes === null ? {} : { saidBytes }) };
}
