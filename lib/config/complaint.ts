import type * as z from 'zod';
import { configSchema, registryKeys } from './schema.ts';

type Issue = z.core.$ZodIssue;

const SHOWN_CHARACTERS_MAX = 80;
const SECRET_NAME = /secret|token|passw|credential|auth|cookie|key$/i;
/** Maximum edit distance for a suggestion. */
const TYPO_EDITS_MAX = 2;

/** Known keys by section, in the order of the schema. */
const keysOf: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(configSchema.shape).map(([section, schema]) => [
    section,
    Object.keys(schema.unwrap().shape),
  ]),
);

/**
 * One line per problem: the key, the value (secrets masked), what is allowed. `input` is the value
 * that was parsed; zod's issues only have its path.
 */
export function complaints(issues: readonly Issue[], input: unknown): string[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code !== 'unrecognized_keys')
      return [
        `${path.join('.')}: ${shown(valueAt(input, path), path)} is not allowed; ` +
          `allowed: ${allowed(issue, path)}`,
      ];
    return issue.keys.map((key) => unknownKey([...path, key], valueAt(input, [...path, key])));
  });
}

function allowed(issue: Issue, path: readonly string[]): string {
  if (path.length === 0) return 'sections ' + [...keysOf.keys()].join(', ');
  if (path.length === 1) return 'keys with values';
  return issue.message;
}

function unknownKey(path: readonly string[], value: unknown): string {
  const [section = '', key = ''] = path;
  const line = `${path.join('.')}: ${shown(value, path)} is not allowed; no such key`;
  if (path.length === 1) {
    const meant = closest(section, [...keysOf.keys()]);
    return meant === null
      ? `${line}; allowed: ${[...keysOf.keys()].join(', ')}`
      : `${line}; did you mean ${meant}?`;
  }
  if (path.length > 2) return `${line}; allowed: ${registryKeys.join(', ')}`;
  const known = keysOf.get(section) ?? [];
  const meant = closest(key, known);
  if (meant !== null) return `${line}; did you mean ${section}.${meant}?`;
  for (const [other, keys] of keysOf) {
    if (keys.includes(key)) return `${line}; did you mean ${other}.${key}?`;
  }
  return `${line}; allowed: ${known.join(', ')}`;
}

/** The known word nearest to `word`, if it is within TYPO_EDITS_MAX edits. */
export function closest(word: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestEdits = TYPO_EDITS_MAX + 1;
  for (const candidate of known) {
    const edits = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestEdits);
    if (edits < bestEdits && edits < candidate.length) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/**
 * Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`; `limit` when there
 * are at least that many.
 */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let edits = Math.min(
        above[column]! + 1,
        current[column - 1]! + 1,
        above[column - 1]! + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        edits = Math.min(edits, before[column - 2]! + 1);
      current.push(edits);
    }
    [before, above] = [above, current];
  }
  return Math.min(limit, above[b.length]!);
}

function valueAt(input: unknown, path: readonly string[]): unknown {
  let value = input;
  for (const key of path)
    value =
      typeof value === 'object' && value !== null
        ? (value as Record<string, unknown>)[key]
        : undefined;
  return value;
}

/**
 * A value on one short line, with possible secrets masked: credentials and queries of URLs, and
 * values of keys that look secret.
 */
function shown(value: unknown, path: readonly string[]): string {
  if (value === undefined) return '(nothing)';
  if (
    SECRET_NAME.test(path.at(-1) ?? '') &&
    !(typeof value === 'string' && /^(?:|\.{0,2}\/.*)$/.test(value)) &&
    typeof value !== 'number'
  )
    return '***';
  // JSON would print null.
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  const json =
    JSON.stringify(value, (key, inner: unknown) =>
      SECRET_NAME.test(key) && typeof inner === 'string' ? '***' : inner,
    ) ?? String(value);
  const clean = json.replace(/\/\/[^/"@]*@/g, '//***@').replace(/\?[^"]*/g, '?***');
  return clean.length <= SHOWN_CHARACTERS_MAX
    ? clean
    : `${clean.slice(0, SHOWN_CHARACTERS_MAX - 3)}...`;
}
