import { parse } from 'smol-toml';
import { ShoalError } from '../errors.ts';

/** Reads a TOML text. Throws FILE_UNUSABLE with the line. */
export function parseToml(text: string): Record<string, unknown> {
  try {
    // The reader's tables have no prototype, which makes them unequal to any other.
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
 * A TOML basic string (TOML 1.0, "String"): JSON's escapes are among its own, the one control
 * character JSON leaves bare is not allowed.
 */
export function quoteToml(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', '\\u007F');
}
