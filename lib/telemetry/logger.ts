import { format } from 'node:util';
import { pino, type Logger } from 'pino';
import { errorFields, safeFields } from './log-fields.ts';
import { redactText } from './redact.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

interface LoggerOptions {
  level: LogLevel;
  /** address:p2p port; in every line. */
  node: string;
  /** `control`, `front-1`, ... */
  thread: string;
  /** Writes whole lines: control's `LineOutput`, or a message to control from another thread. */
  write: (line: string) => void;
  /**
   * Called for every line at warn or above with a code (its own or its error's), for the list of
   * recent errors.
   */
  onProblem?: (code: string, message: string) => void;
}

/** pino's number for `warn`. */
const WARN = 40;

function tellProblem(
  tell: (code: string, message: string) => void,
  fields: Record<string, unknown>,
  message: string | undefined,
): void {
  const err = fields['err'] as { code?: unknown; message?: unknown } | undefined;
  const code = fields['code'] ?? err?.code;
  if (typeof code !== 'string') return;
  const reason = typeof err?.message === 'string' ? err.message : undefined;
  tell(
    code,
    message !== undefined && reason !== undefined && reason !== message
      ? `${message}: ${reason}`
      : (message ?? reason ?? ''),
  );
}

/**
 * The message of a log call with its arguments, formatted before redaction, so that `token=%s` is
 * seen as a whole.
 */
function text(parts: readonly unknown[]): string {
  return redactText(
    format(
      ...parts.map((part) =>
        part instanceof Error
          ? part.message
          : part !== null && typeof part === 'object'
            ? safeFields(part)
            : part,
      ),
    ),
  );
}

/**
 * A pino logger of JSON lines without secrets: everything logged, including child bindings, passes
 * `safeFields` and `redactText`. Fields in use: `requestId`, `url`,
 * `headers`, `err`, `blob`, `peer`, `code`.
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
        logMethod(
          args: unknown[],
          method: (this: Logger, ...safe: unknown[]) => void,
          level: number,
        ) {
          const [first, ...rest] = args;
          if (first === null || typeof first !== 'object') {
            method.call(this, text(args));
            return;
          }
          const fields = first instanceof Error ? { err: errorFields(first) } : safeFields(first);
          const message =
            rest.length > 0
              ? text(rest)
              : first instanceof Error
                ? redactText(first.message)
                : undefined;
          if (level >= WARN && options.onProblem !== undefined)
            tellProblem(options.onProblem, fields, message);
          if (message === undefined) method.call(this, fields);
          else method.call(this, fields, message);
        },
      },
    },
    { write: options.write },
  );
  // pino passes the bindings of a child to no formatter; children inherit this one.
  const { child } = logger;
  logger.child = function safeChild(this: Logger, bindings: object) {
    return child.call(this, safeFields(bindings));
  } as typeof child;
  return logger;
}
