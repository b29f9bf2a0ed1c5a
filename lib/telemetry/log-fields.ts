import { errorFixes } from '../error-fixes.ts';
import { ShoalError } from '../errors.ts';
import { redactText, redactUrl, safeHeaders } from './redact.ts';

/** Deeper objects, longer lists and more causes are cut. */
const DEPTH_MAX = 4;
const ITEMS_MAX = 50;
const STACK_LINES_MAX = 6;
const STACK_CHARS_MAX = 1_000;

/** How the names of fields with a secret end. */
const SECRET_ENDINGS = [
  'authorization',
  'password',
  'passwd',
  'secret',
  'token',
  'credentials?',
  'signature',
  'cookie',
  'accesskey\\w*',
].join('|');
const SECRET_KEY = new RegExp(`^(?:.*(?:${SECRET_ENDINGS})|query|search|auth)$`, 'i');

/**
 * An error for the log, with its causes: texts redacted, without an upstream's headers and body.
 */
export function errorFields(error: Error, depth = 0): Record<string, unknown> {
  const fields: Record<string, unknown> = { type: error.name, message: redactText(error.message) };
  const code: unknown = (error as { code?: unknown }).code;
  if (typeof code === 'string') fields['code'] = redactText(code);
  // A ShoalError is identified by its code; only other errors need a stack. Its first line repeats
  // the message.
  if (error.stack !== undefined && !(error instanceof ShoalError)) {
    fields['stack'] = redactText(
      error.stack.split('\n').slice(1, STACK_LINES_MAX).join('\n'),
      STACK_CHARS_MAX,
    );
  }
  if (error instanceof ShoalError) fields['fix'] = errorFixes[error.code].fix;
  if (error.cause !== undefined && depth < DEPTH_MAX)
    fields['cause'] = safeValue('cause', error.cause, depth + 1);
  return fields;
}

function safeValue(key: string, value: unknown, depth: number): unknown {
  if (SECRET_KEY.test(key)) return '[redacted]';
  if (typeof value === 'string') return key === 'url' ? redactUrl(value) : redactText(value);
  if (typeof value === 'bigint') return String(value);
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Error) return errorFields(value, depth);
  if (value instanceof URL) return redactUrl(value.href);
  if (depth >= DEPTH_MAX || ArrayBuffer.isView(value)) return '[cut]';
  if (Array.isArray(value))
    return value.slice(0, ITEMS_MAX).map((item) => safeValue('', item, depth + 1));
  if (key === 'headers') return safeHeaders(value as Record<string, string>);
  return safeFields(value, depth + 1);
}

/**
 * An object for the log: secrets censored by key, URLs without query, `headers` cut to an
 * allow-list, all text redacted.
 */
export function safeFields(fields: object, depth = 0): Record<string, unknown> {
  const entries = Object.entries(fields).slice(0, ITEMS_MAX);
  return Object.fromEntries(entries.map(([key, value]) => [key, safeValue(key, value, depth)]));
}
