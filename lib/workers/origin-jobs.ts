import { hash } from 'node:crypto';
import { ShoalError } from '../errors.ts';
import { checksumOf } from '../io/checksum.ts';
import { SHARD_BYTES } from '../limits.ts';
import type { OriginClient } from '../origin/client.ts';
import type { ProbeJob, ProbeResult, RelayJob, RelayResult } from './pool.ts';

/** Checks a right at the origin; resolves always. */
export async function probeOrigin(
  job: ProbeJob,
  origin: Pick<OriginClient, 'probe'>,
): Promise<ProbeResult> {
  try {
    const { totalBytes, ranges } = await origin.probe(job, { ranges: job.ranges ?? 'unknown' });
    return { kind: 'granted', totalBytes, ranges };
  } catch (thrown) {
    return { kind: 'failed', error: ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire() };
  }
}

/** Passes a request through; resolves always. */
export async function relayToOrigin(
  job: RelayJob,
  origin: Pick<OriginClient, 'relay'>,
): Promise<RelayResult> {
  try {
    const answer = await origin.relay(job);
    const { status, body } = answer;
    const isManifest =
      job.isManifest && status === 200 && body.length > 0 && body.length <= SHARD_BYTES;
    return {
      kind: 'answer',
      ...answer,
      manifest: isManifest
        ? {
            digest: `sha256:${hash('sha256', body, 'hex')}`,
            checksum: checksumOf(body).toString('hex'),
          }
        : null,
    };
  } catch (thrown) {
    return { kind: 'failed', error: ShoalError.from(thrown, 'ORIGIN_BROKEN').toWire() };
  }
}
