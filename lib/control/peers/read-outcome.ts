import type { RequestEnd } from '../../swarm/origin-queue.ts';
import type { OriginReadResult } from '../../workers/origin-read.ts';
import type { ProbeResult } from '../../workers/pool.ts';

/** What the end of a read says of the upstream, for the queue of requests. */
export function endOf(result: OriginReadResult, fromBytes: number): RequestEnd {
  if (result.kind === 'data') return 'answered';
  const { code } = result.error;
  if (code === 'CANCELLED') return 'left';
  return result.receivedBytes === fromBytes &&
    (code === 'ORIGIN_TIMEOUT' || code === 'ORIGIN_UNREACHABLE')
    ? 'silent'
    : 'answered';
}

/** A refusal of the read is a refusal of the check; another failure proves nothing. */
export function refusalOf(result: OriginReadResult): ProbeResult | null {
  if (result.kind !== 'failed' || result.error.code !== 'ORIGIN_REFUSED') return null;
  const { status } = result.error;
  return status === 401 || status === 403 || status === 404
    ? { kind: 'failed', error: result.error }
    : null;
}
