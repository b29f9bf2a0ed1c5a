import { parseDocument } from 'yaml';

export type Sections = Record<string, unknown>;

/**
 * Applies `--set Section.key=value` to a copy of `raw`, in order. A value is a YAML scalar or flow
 * collection; an empty value is the empty string. Returns the result, and one line for each
 * override that could not be read.
 */
export function applyOverrides(
  raw: Sections,
  overrides: readonly string[],
): { sections: Sections; complaints: string[] } {
  const sections: Sections = { ...raw };
  const complaints: string[] = [];
  for (const override of overrides) {
    const parts = /^([A-Za-z0-9]+)\.([A-Za-z0-9]+)=(.*)$/s.exec(override);
    if (parts === null) {
      const name = /^[\w.]{0,80}/.exec(override)?.[0] ?? '';
      complaints.push(`--set ${JSON.stringify(name)}: is not allowed; allowed: Section.key=value`);
      continue;
    }
    const [, section = '', key = '', text = ''] = parts;
    const value = readValue(text);
    if (value === undefined) {
      complaints.push(
        `${section}.${key}: the value given by --set is not allowed; allowed: a YAML ` +
          'scalar, [list] or {map} (put values that start with "*" in quotes)',
      );
      continue;
    }
    const before = sections[section];
    const kept =
      typeof before === 'object' && before !== null && !Array.isArray(before) ? before : {};
    sections[section] = { ...kept, [key]: value };
  }
  return { sections, complaints };
}

/**
 * Undefined for invalid YAML or an unresolved alias, such as an unquoted `*.example.com`.
 */
function readValue(text: string): unknown {
  if (text.trim() === '') return '';
  // `silent` would also hide a second document.
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'error' });
  if (document.errors.length > 0) return undefined;
  try {
    return document.toJS() as unknown;
  } catch {
    return undefined;
  }
}
