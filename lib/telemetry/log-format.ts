/** What is written of a log line. */
export type LogFormat = (line: string) => string;

/**
 * Characters that a terminal obeys instead of showing: C0, DEL and C1 controls, line and paragraph
 * separators, and those that change the direction of text.
 */
// oxlint-disable-next-line no-control-regex
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

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
    return key === 'stack' ? value.split('\n').map(visible).join('\n') : visible(value);
  if (Array.isArray(value)) return value.map((item) => shown(item, key));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [visible(name), shown(item, name)]),
  );
}

function visible(text: string): string {
  return text.replace(OBEYED, (character) => {
    const code = character.charCodeAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`;
  });
}
