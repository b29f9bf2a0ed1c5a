/** One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1). */
export interface Challenge {
  /** Lower case. */
  scheme: string;
  /** Names in lower case. */
  parameters: ReadonlyMap<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** `name=value`, the value a token or a quoted string. */
const PARAMETER = new RegExp(`^(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]+))`);
const SCHEME = new RegExp(`^(${TOKEN})(?=[ \\t,]|$)`);
/** `Negotiate YII...==`: a scheme with a value instead of parameters. */
const TOKEN68 = /^[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/;

/**
 * The challenges of one or several WWW-Authenticate headers, in order. Several may stand in one
 * line, and values may lack their quotes. What cannot be read ends its header.
 */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers.flatMap(parseHeader);
}

function parseHeader(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let rest = header;
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '');
    if (rest === '') return challenges;
    const parameter = PARAMETER.exec(rest);
    const current = challenges.at(-1);
    if (parameter !== null && current !== undefined) {
      const [whole, name, quoted, bare] = parameter;
      current.parameters.set(
        name!.toLowerCase(),
        quoted === undefined ? bare! : quoted.replaceAll(/\\(.)/g, '$1'),
      );
      rest = rest.slice(whole.length);
      continue;
    }
    const scheme = SCHEME.exec(rest);
    if (scheme === null) return challenges;
    challenges.push({ scheme: scheme[1]!.toLowerCase(), parameters: new Map() });
    rest = rest
      .slice(scheme[0].length)
      .replace(/^[ \t]+/, '')
      .replace(TOKEN68, '');
  }
}
