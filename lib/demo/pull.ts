import { ShoalError } from '../errors.ts';
import { PULL_CONCURRENCY } from '../limits.ts';
import { blobsOf, childOfIndex } from './image.ts';
import type { ImagePlan } from './image.ts';
import type { RegistryClient } from './registry-client.ts';

/**
 * Asks for the manifest, and the child's when it is an index; says what is to be pulled. Throws as
 * `RegistryClient.manifest`.
 */
export async function planPull(
  client: Pick<RegistryClient, 'manifest'>,
  repository: string,
  reference: string,
): Promise<ImagePlan> {
  const named = await client.manifest(repository, reference);
  const child = childOfIndex(named);
  const manifest = child === null ? named : await client.manifest(repository, child);
  const blobs = blobsOf(manifest);
  const imageBytes = blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
  return {
    repository,
    reference,
    digest: named.digest,
    manifestDigest: manifest.digest,
    blobs,
    imageBytes,
  };
}

export interface PullOutcome {
  seconds: number;
  /** Whether the manifest and every blob had the digest they should have, and length. */
  digestsOk: boolean;
  /** What went wrong, one line each. */
  problems: string[];
}

/**
 * Pulls an image as a runtime does: manifest by its reference, then config and layers, three at a
 * time, each hashed as it comes. `expected` is what the registry itself said; another manifest is a
 * problem. Never throws.
 */
export async function pullImage(
  client: Pick<RegistryClient, 'manifest' | 'blob'>,
  expected: ImagePlan,
  nowMs: () => number,
  onBytes: (bytes: number) => void,
): Promise<PullOutcome> {
  const startMs = nowMs();
  const problems: string[] = [];
  try {
    const plan = await planPull(client, expected.repository, expected.reference);
    if (plan.digest !== expected.digest)
      problems.push(`manifest ${plan.digest} where the registry has ${expected.digest}`);
    const waiting = [...plan.blobs];
    const puller = async (): Promise<void> => {
      for (let blob = waiting.shift(); blob !== undefined; blob = waiting.shift()) {
        let length = 0;
        const digest = await client.blob(plan.repository, blob.digest, (bytes) => {
          length += bytes;
          onBytes(bytes);
        });
        if (digest !== blob.digest)
          problems.push(
            `${blob.digest} arrived as ${digest}, ${length} of ${blob.sizeBytes} bytes`,
          );
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: PULL_CONCURRENCY }, puller));
    for (const end of ends) {
      if (end.status === 'rejected') problems.push(ShoalError.from(end.reason).message);
    }
  } catch (error) {
    problems.push(ShoalError.from(error).message);
  }
  return { seconds: (nowMs() - startMs) / 1_000, digestsOk: problems.length === 0, problems };
}
