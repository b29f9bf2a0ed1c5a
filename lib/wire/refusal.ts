import { errorTable, ShoalError, type ErrorCode, type WireError } from '../errors.ts';
import { MESSAGE_CHARS_MAX } from './limits.ts';

/** The answer of a node that could not do what it was asked: 424, with a refusal as its body. */
export const REFUSED = 424;

/**
 * A failure, as one node reports it to another: a code and a text for the log. It never contains a
 * challenge, a header or a body of a registry. These are for the client of the node that read the
 * registry, and only that node knows that they are genuine.
 */
export function formatRefusal({ code, message }: WireError): { code: ErrorCode; message: string } {
  return { code, message: message.slice(0, MESSAGE_CHARS_MAX) };
}

/** The refusal in an answer's body, or null; everything but `code` and `message` is dropped. */
export function parseRefusal(body: unknown): WireError | null {
  if (typeof body !== 'object' || body === null) return null;
  const { code, message } = body as Record<string, unknown>;
  return typeof code === 'string' && Object.hasOwn(errorTable, code) && typeof message === 'string'
    ? // A node of another minor version may send more.
      { code: code as ErrorCode, message: printable(message) }
    : null;
}

/** As parseRefusal. Throws PEER_BROKEN when there is no refusal. */
export function refusalOf(body: unknown): WireError {
  const error = parseRefusal(body);
  if (error === null) throw new ShoalError('PEER_BROKEN', 'sent an invalid refusal');
  return error;
}

/** Another node's text as it may enter the log: one line, bounded. */
function printable(text: string): string {
  return text.slice(0, MESSAGE_CHARS_MAX).replace(/[^\x20-\x7e]/g, '?');
}
