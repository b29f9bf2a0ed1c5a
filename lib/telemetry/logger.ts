import { format } from 'node:util';
import { pino, type Logger } from 'pino';
import { errorFields, safeFields } from './log-fields.ts';
import { redactText } from './redact.ts';

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

/** What follows the object of a log call, as one text: put together before it is redacted, so that `token=%s` is seen whole. */
function text(parts: readonly unknown[]): string {
  return redactText(format(...parts.map((part) => (part instanceof Error ? part.message : part !== null && typeof part === 'object' ? safeFields(part) : part))));
}

/**
 * A pino logger of JSON lines in which nothing secret can pass: everything logged, child bindings
 * included, goes through `safeFields` and `redactText`. Fields in use: `requestId`, `url`, `headers`, `err`, `blob`, `peer`, `code`.
 */
export function createLogger(options: LoggerOptions): Logger {
  const logger = pino(
    {
      level: options.level,
      base: { node: options.node, thread: options.thread },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (err: unknown) => err },
      hooks: {
        logMethod(args: unknown[], method: (this: Logger, ...safe: unknown[]) => void) {
          const [first, ...rest] = args;
          if (first === null || typeof first !== 'object') method.call(this, text(args));
          else if (first instanceof Error) method.call(this, { err: errorFields(first) }, rest.length > 0 ? text(rest) : redactText(first.message));
          else if (rest.length > 0) method.call(this, safeFields(first), text(rest));
          else method.call(this, safeFields(first));
        },
      },
    },
    { write: options.write },
  );
  // pino hands the bindings of a child to no formatter; children inherit this one.
  const { child } = logger;
  logger.child = function safeChild(this: Logger, bindings: object) {
    return child.call(this, safeFields(bindings));
  } as typeof child;
  return logger;
}
