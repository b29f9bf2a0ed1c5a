import { shownText } from './obeyed.ts';

/** What is written of a log line. */
export type LogFormat = (line: string) => string;

/**
 * Lines of JSON as they are; for a person at a terminal, pino-pretty's form of them. It is loaded
 * only for a terminal. What a client or registry has sent cannot move the cursor, change colours or
 * begin a line there: controls are shown as `\x1b`.
 */
export async function logFormat(
  isTerminal: boolean,
  env: Record<string, string | undefined>,
): Promise<LogFormat> {
  if (!isTerminal) return (line) => line;
  const { prettyFactory } = await import('pino-pretty');
  const show = prettyFactory({
    colorize: env['NO_COLOR'] === undefined || env['NO_COLOR'] === '',
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'node,thread',
    singleLine: true,
  });
  return (line) => {
    const safe = shown(JSON.parse(line) as object, '') as object;
    return show(safe) ?? line;
  };
}

/** The same value without characters that a terminal obeys; a stack keeps its lines. */
function shown(value: unknown, key: string): unknown {
  if (typeof value === 'string')
    return key === 'stack' ? value.split('\n').map(shownText).join('\n') : shownText(value);
  if (Array.isArray(value)) return value.map((item) => shown(item, key));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [shownText(name), shown(item, name)]),
  );
}
