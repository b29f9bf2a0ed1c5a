import { parse } from 'smol-toml';
import { ShoalError } from '../errors.ts';

/** Parses TOML. Throws FILE_UNUSABLE with the line number. */
export function parseToml(text: string): Record<string, unknown> {
  try {
    // The parser's tables have no prototype, so they would not compare equal to plain objects.
    return structuredClone(parse(text));
  } catch (error) {
    const where = error instanceof Error && 'line' in error ? ` (line ${String(error.line)})` : '';
    throw new ShoalError('FILE_UNUSABLE', `not TOML${where}`, { cause: error });
  }
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A TOML basic string (TOML 1.0, "String"). JSON's escapes are valid in TOML; DEL must be escaped
 * as well.
 */
export function quoteToml(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', '\\u007F');
}
