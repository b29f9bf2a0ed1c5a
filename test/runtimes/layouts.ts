import fc from 'fast-check';

/**
 * JSON texts as people and programs write them: any indentation, line end, spacing, end of file.
 */
export function jsonTexts(document: fc.Arbitrary<object>): fc.Arbitrary<string> {
  const layout = fc.record({
    indent: fc.constantFrom<string | number>('', 1, 2, 4, '\t'),
    newline: fc.constantFrom('\n', '\r\n'),
    end: fc.constantFrom('', '\n', '\n\n', '  '),
    mark: fc.constantFrom('', '\uFEFF'),
  });
  return fc.tuple(document, layout).map(([value, { indent, newline, end, mark }]) => {
    const text = JSON.stringify(value, null, indent);
    return mark + text.replaceAll('\n', newline) + end.replaceAll('\n', newline);
  });
}

/** JSON as every reader reads it. */
export function read(text: string): Record<string, unknown> {
  return JSON.parse(text.replace(/^\uFEFF/, '')) as Record<string, unknown>;
}

/** A JSON object without the member of that name. */
export function objectsWithout(key: string): fc.Arbitrary<Record<string, unknown>> {
  return fc.dictionary(
    fc.string().filter((name) => name !== key),
    fc.jsonValue(),
  );
}
