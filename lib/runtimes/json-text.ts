import { ShoalError } from '../errors.ts';
import { JSON_DEPTH_MAX } from './limits.ts';

/** A value of a JSON text by where it stands: `[start, end)` in UTF-16 units. */
export type JsonNode = JsonScalar | JsonArray | JsonObject;

export interface JsonScalar {
  kind: 'scalar';
  start: number;
  end: number;
  value: string | number | boolean | null;
}

export interface JsonArray {
  kind: 'array';
  start: number;
  end: number;
  children: JsonItem[];
}

export interface JsonObject {
  kind: 'object';
  start: number;
  end: number;
  children: JsonMember[];
}

export interface JsonItem {
  start: number;
  end: number;
  node: JsonNode;
}

export interface JsonMember extends JsonItem {
  key: string;
  keyEnd: number;
}

/**
 * Reads a JSON text (RFC 8259) into the places of its values, so that one of them can be changed
 * and every other byte kept. A byte order mark and comments count as white space. Throws
 * FILE_UNUSABLE with line and column.
 */
export function parseJsonText(text: string): JsonNode {
  const reader = new Reader(text);
  return reader.document();
}

class Reader {
  readonly #text: string;
  #at: number;

  constructor(text: string) {
    this.#text = text;
    this.#at = text.startsWith('\uFEFF') ? 1 : 0;
  }

  document(): JsonNode {
    this.#skip();
    const node = this.#value(0);
    this.#skip();
    if (this.#at < this.#text.length) throw this.#damage('something follows the end');
    return node;
  }

  #value(depth: number): JsonNode {
    if (depth > JSON_DEPTH_MAX) throw this.#damage('nested too deep');
    const start = this.#at;
    const first = this.#text[start];
    if (first === '{')
      return { kind: 'object', start, ...this.#children('}', () => this.#member(depth + 1)) };
    if (first === '[')
      return { kind: 'array', start, ...this.#children(']', () => this.#item(depth + 1)) };
    const value = first === '"' ? this.#string() : this.#plain();
    return { kind: 'scalar', start, end: this.#at, value };
  }

  /** What stands between brackets, separated by commas. */
  #children<T>(close: string, read: () => T): { children: T[]; end: number } {
    const children: T[] = [];
    this.#at++;
    this.#skip();
    while (this.#text[this.#at] !== close) {
      if (children.length > 0) this.#expect(',');
      children.push(read());
      this.#skip();
    }
    return { children, end: ++this.#at };
  }

  #item(depth: number): JsonItem {
    const node = this.#value(depth);
    return { start: node.start, end: node.end, node };
  }

  #member(depth: number): JsonMember {
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#damage('a member name is missing');
    const key = this.#string();
    const keyEnd = this.#at;
    this.#skip();
    this.#expect(':');
    const node = this.#value(depth);
    return { key, start, keyEnd, end: node.end, node };
  }

  #string(): string {
    // Control characters are left to JSON.parse to refuse.
    const raw = this.#match(/"(?:[^"\\\n]|\\.)*"/y);
    if (raw === null) throw this.#damage('a string without an end');
    return this.#decode(raw) as string;
  }

  #plain(): number | boolean | null {
    const raw = this.#match(/[-+.\w]+/y);
    if (raw === null)
      throw this.#damage(
        this.#at >= this.#text.length ? 'it ends too early' : 'a value is missing',
      );
    return this.#decode(raw) as number | boolean | null;
  }

  #decode(raw: string): unknown {
    try {
      return JSON.parse(raw);
    } catch {
      this.#at -= raw.length;
      throw this.#damage('a value that cannot be read');
    }
  }

  #expect(mark: string): void {
    if (this.#text[this.#at] !== mark)
      throw this.#damage(
        this.#at >= this.#text.length ? 'it ends too early' : `"${mark}" is missing`,
      );
    this.#at++;
    this.#skip();
  }

  #skip(): void {
    this.#match(/(?:[ \t\r\n]|\/\/[^\n]*|\/\*[^]*?\*\/)+/y);
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? null;
    if (found !== null) this.#at += found.length;
    return found;
  }

  #damage(what: string): ShoalError {
    const before = this.#text.slice(0, this.#at).split('\n');
    return new ShoalError(
      'FILE_UNUSABLE',
      `not JSON: ${what} (line ${before.length}, column ${before.at(-1)!.length + 1})`,
    );
  }
}

/**
 * The member of that name; undefined when there is none. Throws FILE_UNUSABLE when there are two:
 * readers differ in which counts.
 */
export function memberOf(object: JsonObject, key: string): JsonMember | undefined {
  const found = object.children.filter((member) => member.key === key);
  if (found.length > 1) throw new ShoalError('FILE_UNUSABLE', `"${key}" stands there twice`);
  return found[0];
}
