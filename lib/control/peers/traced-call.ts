import type { Span } from '../../span.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';

/** A call to another node, with a span of its own if the request that caused it is traced. */
export async function tracedCall(
  request: Span | undefined,
  name: string,
  node: string,
  call: (traceparent: string | undefined) => Promise<PeerCallResult>,
): Promise<PeerCallResult> {
  const span = request?.child(name, 'client', { 'server.address': node });
  const result = await call(span?.traceparent);
  if (result.kind === 'failed')
    span?.end({ 'error.type': result.error.code }, result.error.message);
  else span?.end({ 'http.response.status_code': result.status });
  return result;
}
