import type { YAMLError } from 'yaml';

/** What to do about a YAML error, by the library's code. */
const REMEDIES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'a tab is used for indentation; use spaces',
  DUPLICATE_KEY: 'a key is given twice; keep one',
  BAD_INDENT: 'the indentation does not match the lines above, or a bracket is not closed',
  BLOCK_AS_IMPLICIT_KEY: 'a key and its value are nested on one line; start a new, indented line',
  BLOCK_IN_FLOW: 'an indented block is inside [...] or {...}; write it on one line',
  MULTILINE_IMPLICIT_KEY: 'a key has no ":" after it, or goes over several lines',
  MISSING_CHAR: 'a bracket, brace, quote, comma or ":" is missing',
  UNEXPECTED_TOKEN: 'there is text where none is expected; quote values that contain ": " or " #"',
  BAD_SCALAR_START: 'a value starts with a reserved character; put it in quotes',
  BAD_DQ_ESCAPE: 'unknown escape in double quotes; use single quotes',
  MULTIPLE_DOCS: 'the file has a second document; remove the "---" line',
  MULTIPLE_ANCHORS: 'a value has two anchors',
  MULTIPLE_TAGS: 'a value has two tags',
  BAD_ALIAS: 'a "*" refers to nothing; put values that start with "*" in quotes',
  ALIAS_PROPS: 'an alias has an anchor or tag',
  TAG_RESOLVE_FAILED: 'a "!" tag is unknown; put values that start with "!" in quotes',
  COMMENT_SPACE: 'a "#" needs a space before it to start a comment',
  IMPOSSIBLE: 'the structure cannot be read',
};

/**
 * The line and cause of a YAML error, with what to do. The library's own message is not used: it
 * quotes the line, which may hold a secret.
 */
export function yamlProblem(error: Pick<YAMLError, 'code' | 'linePos'>): string {
  const at = error.linePos?.[0];
  const place = at === undefined ? '' : `line ${at.line}, column ${at.col}: `;
  return `${place}${REMEDIES[error.code] ?? 'the syntax is wrong'} (${error.code})`;
}
