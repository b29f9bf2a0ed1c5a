/** A JSON schema as far as the chart's values use it. */
interface Schema {
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
}

/**
 * The chart's README: the table of its values, each with its default and meaning. `schema` and
 * `values` are the parsed files.
 */
export function chartReadme(schema: unknown, values: unknown): string {
  const rows = rowsOf(schema as Schema, values, '').map(
    ([key, shown, text]) => `| \`${key}\` | ${shown} | ${text} |`,
  );
  return `# The Shoal chart

Made by \`node deploy/render.ts\` from values.schema.json and values.yaml. How to install and run
Shoal: docs/OPERATIONS.md.

| value | default | meaning |
|---|---|---|
${rows.join('\n')}
`;
}

function rowsOf(
  schema: Schema,
  value: unknown,
  path: string,
): [key: string, shown: string, text: string][] {
  const named = (key: string): string => (path === '' ? key : `${path}.${key}`);
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const present = (value as Record<string, unknown> | undefined)?.[key];
    if (child.properties !== undefined) return rowsOf(child, present, named(key));
    const own: [string, string, string] = [
      named(key),
      present === undefined ? '' : `\`${JSON.stringify(present)}\``,
      meaning(child),
    ];
    return [own, ...rowsOf(child.items ?? {}, undefined, `${named(key)}[]`)];
  });
}

function meaning({ description = '', enum: choices, minimum, maximum }: Schema): string {
  if (choices !== undefined)
    return `${description} One of ${choices.map((choice) => `\`${String(choice)}\``).join(', ')}.`;
  if (minimum !== undefined && maximum !== undefined)
    return `${description} ${minimum} to ${maximum}.`;
  if (minimum !== undefined) return `${description} At least ${minimum}.`;
  return description;
}
