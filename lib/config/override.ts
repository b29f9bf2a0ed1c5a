import { parseDocument } from 'yaml';

export type Sections = Record<string, unknown>;

/**
 * Lays `--set Section.key=value` over `raw`, in order, without changing it; the value is a YAML scalar or
 * flow collection, and nothing after the `=` is the empty text. Returns what it made and a line for each
 * override that could not be read.
 */
export function applyOverrides(raw: Sections, overrides: readonly string[]): { sections: Sections; complaints: string[] } {
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
    const document = parseDocument(text, { prettyErrors: false, logLevel: 'silent' });
    if (document.errors.length > 0) {
      complaints.push(`${section}.${key}: the value given by --set is not allowed; allowed: a YAML scalar, [list] or {map}`);
      continue;
    }
    const before = sections[section];
    const kept = typeof before === 'object' && before !== null && !Array.isArray(before) ? before : {};
    sections[section] = { ...kept, [key]: text.trim() === '' ? '' : (document.toJS() as unknown) };
  }
  return { sections, complaints };
}
