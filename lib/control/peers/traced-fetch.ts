import type { Span } from '../../span.ts';
import type { FetchOptions, FillFromSwarm, Resident } from '../shards/resident.ts';
import type { FetchJob } from './node-effects.ts';

type Outcome = Pick<FetchJob, 'done' | 'failed' | 'running' | 'span'>;

/** The end of a shard's fetch, with its span if the request that caused it is traced. */
export function traced(
  { key, shard }: Resident,
  { span: request }: FetchOptions,
  done: Parameters<FillFromSwarm>[2],
  failed: Parameters<FillFromSwarm>[3],
): Outcome {
  if (request === undefined) return { done, failed, running: null, span: undefined };
  const span = request.child('shard', 'internal', { 'shoal.blob': key, 'shoal.shard': shard });
  return {
    running: null,
    span,
    done(got) {
      span.end({ 'shoal.bytes': got.lengthBytes });
      done(got);
    },
    failed(error, of) {
      span.end({ 'error.type': error.code }, error.message);
      failed(error, of);
    },
  };
}

/** Ends the span of one attempt; a node that only names others, or holds nothing, is a tracker. */
export function endAttempt(
  span: Span | undefined,
  result: { kind: string; lengthBytes?: number; error?: { code: string; message: string } },
): void {
  if (span === undefined) return;
  const { kind, lengthBytes, error } = result;
  if (kind === 'redirect' || kind === 'busy' || kind === 'miss') span.rename('tracker');
  span.end(
    { 'shoal.outcome': kind, 'shoal.bytes': lengthBytes, 'error.type': error?.code },
    error?.message,
  );
}
