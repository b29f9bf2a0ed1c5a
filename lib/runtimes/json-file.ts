import { parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser';
import { ShoalError } from '../errors.ts';

/*
 * Changes single values of a JSON text and keeps every other byte. jsonc-parser says where the
 * values are; its own edits would lay out lines anew that belong to the operator. Comments and a
 * byte order mark count as white space.
 */

export type { Node } from 'jsonc-parser';

/** The root object of a JSON text. Throws FILE_UNUSABLE with line and column. */
export function parseObject(text: string): Node {
  const errors: ParseError[] = [];
  let root: Node | undefined;
  try {
    // The parser does not know the mark; a blank keeps the offsets.
    root = parseTree(text.replace(/^\uFEFF/, ' '), errors, { allowTrailingComma: false });
  } catch (error) {
    if (error instanceof RangeError) throw damaged('nested too deep');
    throw error;
  }
  const [first] = errors;
  if (first !== undefined || root === undefined) {
    const before = text.slice(0, first?.offset ?? 0).split('\n');
    const what = first === undefined ? 'no value' : wordsOf(printParseErrorCode(first.error));
    throw damaged(`${what} (line ${before.length}, column ${before.at(-1)!.length + 1})`);
  }
  if (root.type !== 'object') throw new ShoalError('FILE_UNUSABLE', 'not a JSON object');
  return root;
}

/**
 * The value of the member of that name; undefined when there is none. Throws FILE_UNUSABLE when
 * there are two: readers differ in which one counts.
 */
export function memberOf(object: Node, key: string): Node | undefined {
  const found = childrenOf(object).filter((property) => property.children?.[0]?.value === key);
  if (found.length > 1) throw new ShoalError('FILE_UNUSABLE', `"${key}" appears twice`);
  return found[0]?.children?.[1];
}

/** The members of an object, or the items of an array. */
export function childrenOf(container: Node): Node[] {
  return container.children ?? [];
}

/** The name of a member. */
export function keyOf(property: Node): string {
  return String(property.children?.[0]?.value);
}

export function textOf(text: string, node: Node): string {
  return text.slice(node.offset, endOf(node));
}

export function replaceNode(text: string, node: Node, value: string): string {
  return text.slice(0, node.offset) + value + text.slice(endOf(node));
}

/** Adds `"key": value` at the end of an object; `value` is laid out like the rest of the text. */
export function addMember(text: string, object: Node, key: string, value: unknown): string {
  const layout = layoutOf(text, object);
  const member = `${JSON.stringify(key)}${layout.colon}${rendered(value, layout)}`;
  const last = childrenOf(object).at(-1);
  if (last !== undefined) {
    const lead = layout.lead === '' && layout.colon.endsWith(' ') ? ' ' : layout.lead;
    return `${text.slice(0, endOf(last))},${lead}${member}${text.slice(endOf(last))}`;
  }
  const [start, end] = [object.offset + 1, endOf(object) - 1];
  const inside = text.slice(start, end);
  const tail = layout.newline === '' || inside.includes('\n') ? '' : layout.close;
  return text.slice(0, start) + layout.lead + member + inside + tail + text.slice(end);
}

/** Adds an item (JSON text) at the beginning of an array. */
export function prependItem(text: string, array: Node, item: string): string {
  const [first] = childrenOf(array);
  const at = first?.offset ?? array.offset + 1;
  const lead = first === undefined ? '' : leadBefore(text, first);
  const gap = first === undefined ? '' : `,${lead === '' ? ' ' : lead}`;
  return text.slice(0, at) + item + gap + text.slice(at);
}

/** Removes a member or item, with one comma and the white space that led to it. */
export function removeChild(text: string, container: Node, index: number): string {
  const children = childrenOf(container);
  const [before, child, after] = [children[index - 1], children[index]!, children[index + 1]];
  if (before !== undefined) return text.slice(0, endOf(before)) + text.slice(endOf(child));
  if (after !== undefined) return text.slice(0, child.offset) + text.slice(after.offset);
  return text.slice(0, container.offset + 1) + text.slice(endOf(container) - 1);
}

/** How an object is laid out, so that what is added looks like the rest. */
interface Layout {
  /** Empty when the text is on one line. */
  newline: string;
  /** Before a member: line end and indentation, or blanks. */
  lead: string;
  /** Before the closing brace of an object without members. */
  close: string;
  unit: string;
  colon: string;
}

function layoutOf(text: string, object: Node): Layout {
  const newline = /\r?\n/.exec(text)?.[0] ?? '';
  const unit = /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ';
  const colon = /"[ \t]*(:[ \t]*)/.exec(text)?.[1] ?? (newline === '' ? ':' : ': ');
  const last = childrenOf(object).at(-1);
  const indent = /[ \t]*$/.exec(/^[ \t]*/.exec(lineOf(text, object.offset))![0])![0];
  const close = newline === '' ? '' : newline + indent;
  const lead = last === undefined ? close + (close === '' ? '' : unit) : leadBefore(text, last);
  return { newline, lead, close, unit, colon };
}

function rendered(value: unknown, { lead, newline, unit, colon }: Layout): string {
  if (!lead.includes('\n')) {
    const spaced = JSON.stringify(value, null, 1).replaceAll(/\n */g, ' ');
    return colon.endsWith(' ')
      ? spaced.replaceAll('{ ', '{').replaceAll(' }', '}')
      : JSON.stringify(value);
  }
  const indent = lead.slice(lead.lastIndexOf('\n') + 1);
  return JSON.stringify(value, null, unit).replaceAll('\n', newline + indent);
}

function lineOf(text: string, offset: number): string {
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset);
}

/** The line end and blanks right before a child. */
function leadBefore(text: string, child: Node): string {
  return /(?:\r?\n)?[ \t]*$/.exec(text.slice(0, child.offset))![0];
}

function endOf({ offset, length }: Node): number {
  return offset + length;
}

/** `CommaExpected` -> `comma expected` */
function wordsOf(code: string): string {
  return code.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
}

function damaged(what: string): ShoalError {
  return new ShoalError('FILE_UNUSABLE', `not JSON: ${what}`);
}
