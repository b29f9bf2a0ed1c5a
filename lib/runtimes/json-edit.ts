import type { JsonArray, JsonItem, JsonNode, JsonObject } from './json-text.ts';

/** How a JSON text is laid out, so that what is added looks like the rest. */
export interface JsonLayout {
  /** Its line ends; empty when it is all on one line. */
  newline: string;
  /** One step of indentation. */
  unit: string;
  /** What stands between a name and its value. */
  colon: string;
}

const INDENT_DEFAULT = '  ';

/**
 * Reads the layout off a text: off its first line end, its first member on a line of its own, its
 * first colon.
 */
export function layoutOf(text: string, root: JsonObject): JsonLayout {
  const newline = /\r\n|\n/.exec(text)?.[0] ?? '';
  const [first] = root.children;
  const lead = first === undefined ? '' : leadBefore(text, root, 0);
  const unit = /\n([ \t]+)$/.exec(lead)?.[1] ?? INDENT_DEFAULT;
  const gap = first === undefined ? '' : text.slice(first.keyEnd, first.node.start);
  return { newline, unit, colon: /^[ \t]*:[ \t]*$/.test(gap) ? gap : newline === '' ? ':' : ': ' };
}

/**
 * The text of an object with these members (values as JSON text), its brackets at `indent`; null:
 * all on one line.
 */
export function renderObject(
  members: readonly [key: string, value: string][],
  layout: JsonLayout,
  indent: string | null,
): string {
  const { newline, unit, colon } = layout;
  const parts = members.map(([key, value]) => `${JSON.stringify(key)}${colon}${value}`);
  if (newline === '' || indent === null) return `{${parts.join(colon.endsWith(' ') ? ', ' : ',')}}`;
  return `{${parts.map((part) => `${newline}${indent}${unit}${part}`).join(',')}${newline}${indent}}`;
}

export function replaceNode(text: string, node: JsonNode, value: string): string {
  return text.slice(0, node.start) + value + text.slice(node.end);
}

/**
 * Adds a child at the end of an object or array. `child` is told the indentation it stands at, null
 * when it stands on the line of others.
 */
export function appendChild(
  text: string,
  container: JsonObject | JsonArray,
  layout: JsonLayout,
  child: (indent: string | null) => string,
): string {
  const last = container.children.at(-1);
  if (last === undefined) return insertFirst(text, container, layout, child);
  const lead = leadBefore(text, container, container.children.length - 1);
  return `${text.slice(0, last.end)},${lead}${child(indentOf(lead))}${text.slice(last.end)}`;
}

/** Adds a child at the beginning of an object or array. */
export function prependChild(
  text: string,
  container: JsonObject | JsonArray,
  layout: JsonLayout,
  child: (indent: string | null) => string,
): string {
  const [first, second] = container.children;
  if (first === undefined) return insertFirst(text, container, layout, child);
  const lead = leadBefore(text, container, 0);
  // `["a", "b"]`: no blank after the bracket, one after each comma.
  const between =
    second !== undefined
      ? leadBefore(text, container, 1)
      : lead === '' && layout.colon.endsWith(' ')
        ? ' '
        : lead;
  return `${text.slice(0, first.start)}${child(indentOf(lead))},${between}${text.slice(first.start)}`;
}

/** Takes a child out, with one comma and the white space that led to it. */
export function removeChild(
  text: string,
  container: JsonObject | JsonArray,
  index: number,
): string {
  const child = container.children[index]!;
  const before = container.children[index - 1];
  if (before !== undefined) return text.slice(0, before.end) + text.slice(child.end);
  const after = container.children[index + 1];
  if (after !== undefined) return text.slice(0, child.start) + text.slice(after.start);
  return text.slice(0, container.start + 1) + text.slice(container.end - 1);
}

function insertFirst(
  text: string,
  container: JsonObject | JsonArray,
  layout: JsonLayout,
  child: (indent: string | null) => string,
): string {
  const [head, inside, tail] = [
    text.slice(0, container.start + 1),
    text.slice(container.start + 1, container.end - 1),
    text.slice(container.end - 1),
  ];
  if (layout.newline === '') return head + child(null) + inside + tail;
  const base = /[ \t]*/.exec(head.slice(head.lastIndexOf('\n') + 1))![0];
  const indent = base + layout.unit;
  return `${head}${layout.newline}${indent}${child(indent)}${inside.includes('\n') ? inside : `${layout.newline}${base}`}${tail}`;
}

/** The line end and blanks right before a child. */
function leadBefore(text: string, container: JsonObject | JsonArray, index: number): string {
  const before: JsonItem | undefined = container.children[index - 1];
  const gap = text.slice(
    before === undefined ? container.start + 1 : before.end,
    container.children[index]!.start,
  );
  return /(?:\r?\n)?[ \t]*$/.exec(gap)![0];
}

function indentOf(lead: string): string | null {
  const at = lead.lastIndexOf('\n');
  return at === -1 ? null : lead.slice(at + 1);
}
