/** What is written of a log line. */
export type LogFormat = (line: string) => string;

/**
 * Lines of JSON as they are; for a person at a terminal, pino-pretty's form of them. It is loaded
 * only for a terminal.
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
  return (line) => show(line) ?? line;
}
