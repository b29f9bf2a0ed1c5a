/**
 * Parts joined by two spaces, on as many lines as they take; lines after the first are indented.
 */
export function wrap(parts: readonly string[], columns: number, indent = ''): string {
  const lines: string[] = [];
  for (const part of parts) {
    const line = lines.at(-1);
    if (line !== undefined && plain(line).length + 2 + plain(part).length <= columns)
      lines[lines.length - 1] = `${line}  ${part}`;
    else lines.push(line === undefined ? part : indent + part);
  }
  return lines.join('\n');
}

// oxlint-disable-next-line no-control-regex
const ESCAPE = /\x1b\[[0-9;]*m/g;

/** A text without its colours. */
export function plain(text: string): string {
  return text.replace(ESCAPE, '');
}

/** A line without colours that is too long ends at the last column. */
export function cut(line: string, columns: number): string {
  return plain(line).length <= columns ? line : plain(line).slice(0, columns);
}

/** The end of a name, where names differ. */
export function tail(name: string, columns: number): string {
  return name.length <= columns ? name : `...${name.slice(name.length + 3 - columns)}`;
}
