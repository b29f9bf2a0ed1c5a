import type { OriginTarget } from '../../origin-target.ts';
import type { Filling } from './transfers.ts';
import type { RequestEnd } from '../../swarm/origin-queue.ts';
import type { OriginReadResult } from '../../workers/origin-read.ts';
import type { PreadResult } from '../../wire/pread.ts';
import type { ProbeResult } from '../../workers/pool.ts';

/** What the end of a read says of the upstream, for the queue of requests. */
export function endOf(result: OriginReadResult, fromBytes: number): RequestEnd {
  if (result.kind === 'data') return 'answered';
  const { code } = result.error;
  if (code === 'CANCELLED' || code === 'THREAD_LOST') return 'left';
  return result.receivedBytes === fromBytes &&
    (code === 'ORIGIN_TIMEOUT' || code === 'ORIGIN_UNREACHABLE')
    ? 'silent'
    : 'answered';
}

/**
 * A result with the bytes that arrived before the thread of the read ended. Only the slot knows
 * them. Bytes that clients got must not be read again.
 */
export function withReceived<Result extends OriginReadResult | PreadResult>(
  result: Result,
  receivedBytes: () => number,
): Result {
  return result.kind === 'failed' && result.error.code === 'THREAD_LOST'
    ? { ...result, receivedBytes: receivedBytes() }
    : result;
}

/** A refusal of the read is a refusal of the check; another failure proves nothing. */
export function refusalOf(result: OriginReadResult): ProbeResult | null {
  if (result.kind !== 'failed' || result.error.code !== 'ORIGIN_REFUSED') return null;
  const { status } = result.error;
  return status === 401 || status === 403 || status === 404
    ? { kind: 'failed', error: result.error }
    : null;
}

/** The shard is for the node that reads the whole blob. */
export function wholeOnly({
  target,
  filling,
}: {
  target: OriginTarget;
  filling: Filling;
}): Extract<OriginReadResult, { kind: 'failed' }> {
  const message = `${target.upstreamHost} does not serve ranges of this object`;
  return {
    kind: 'failed',
    error: { code: 'ORIGIN_BROKEN', message },
    receivedBytes: filling.fromBytes,
    wholeOnly: true,
  };
}
