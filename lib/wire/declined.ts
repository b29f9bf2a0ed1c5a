import { ShoalError, type WireError } from '../errors.ts';
import { parseObject } from './fields.ts';
import { BUSY_RETRY_MS_MAX } from './limits.ts';
import { formatRefusal, REFUSED, refusalOf } from './refusal.ts';

/**
 * The answers of a node that does not give what it is asked for:
 *
 *   404 {kind: "miss"}     503 {kind: "busy", retryMs}     424 a refusal (refusal.ts)
 */
type Declined =
  | { kind: 'miss' }
  | { kind: 'busy'; retryMs: number }
  | { kind: 'refused'; error: WireError };

export function formatDeclined(answer: Declined): { status: number; body: object } {
  switch (answer.kind) {
    case 'miss':
      return { status: 404, body: answer };
    case 'busy':
      return { status: 503, body: answer };
    case 'refused':
      return { status: REFUSED, body: formatRefusal(answer.error) };
  }
}

/**
 * An answer in JSON: one of the above, or what `parse` reads from its body. Throws PEER_BROKEN if
 * it is not a JSON object, or if `parse` returns null.
 */
export function parseAnswer<Given>(
  status: number,
  text: string,
  parse: (body: Record<string, unknown>) => Given | null,
): Given | Declined {
  const body = parseObject(text);
  if (body === null) throw new ShoalError('PEER_BROKEN', `status ${status} without a JSON object`);
  if (status === 404) return { kind: 'miss' };
  if (status === 503) return { kind: 'busy', retryMs: pauseMs(body['retryMs']) };
  if (status === REFUSED) return { kind: 'refused', error: refusalOf(body) };
  const given = parse(body);
  if (given === null) throw new ShoalError('PEER_BROKEN', `status ${status} with an invalid body`);
  return given;
}

/** The pause that a node asks for, bounded so that a bad node does not delay a fetch for long. */
function pauseMs(retryMs: unknown): number {
  return Math.min(BUSY_RETRY_MS_MAX, Math.max(1, Number(retryMs) || 100));
}
