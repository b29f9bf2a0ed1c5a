import { pino, type Logger } from 'pino';
import { ShoalError } from '../errors.ts';
import { redactText, redactUrl, safeHeaders } from './redact.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LoggerOptions {
  level: LogLevel;
  /** address:p2p port, put in every line. */
  node: string;
  /** `control`, `front-1`, ... */
  thread: string;
  /** Takes whole lines: control's `LineOutput`, or a post to control on any other thread. */
  write: (line: string) => void;
}

/** Keys whose value is never shown, whoever logs them, at the top and one or two objects deep. */
const SECRET_KEYS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'password', 'secret', 'token', 'credential', 'credentials', 'signature', 'query'];
const redactPaths = SECRET_KEYS.flatMap((key) => {
  const bracket = `["${key}"]`;
  return [bracket, `*${bracket}`, `*.*${bracket}`];
});

interface LoggedError {
  type: string;
  code?: string;
  message: string;
  stack?: string;
  cause?: LoggedError;
}

/** An error as it may be logged: its texts redacted, its upstream body and headers left out, its causes three deep. */
function errorFields(error: unknown, depth = 3): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: redactText(String(error)) };
  const fields: LoggedError = { type: error.name, message: redactText(error.message) };
  const code = error instanceof ShoalError ? error.code : (error as { code?: unknown }).code;
  if (typeof code === 'string') fields.code = code;
  // The first line of a stack repeats the message, which is redacted above.
  if (error.stack !== undefined && !(error instanceof ShoalError)) fields.stack = redactText(error.stack.split('\n').slice(1, 6).join('\n'));
  if (error.cause !== undefined && depth > 0) fields.cause = errorFields(error.cause, depth - 1);
  return fields;
}

/**
 * A pino logger of JSON lines. Nothing secret can pass: keys that name secrets are censored, messages and errors lose
 * URL queries and credentials, `url` loses its query, `headers` is cut down to an allow-list.
 * Conventions: `requestId`, `url`, `headers`, `err`, `blob`, `peer`, `code`.
 */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { node: options.node, thread: options.thread },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redactPaths, censor: '[redacted]' },
      serializers: {
        err: (error: unknown) => errorFields(error),
        error: (error: unknown) => errorFields(error),
        url: (url: unknown) => redactUrl(String(url)),
        headers: (headers: Record<string, string>) => safeHeaders(headers),
        message: (message: unknown) => redactText(String(message)),
      },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map((arg) => (typeof arg === 'string' ? redactText(arg) : arg)) as Parameters<typeof method>);
        },
      },
    },
    { write: options.write },
  );
}
