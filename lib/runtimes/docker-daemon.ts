import { ShoalError } from '../errors.ts';
import { appendChild, layoutOf, prependChild, removeChild } from './json-edit.ts';
import { memberOf, parseJsonText } from './json-text.ts';
import type { JsonArray, JsonObject } from './json-text.ts';

/*
 * Docker's daemon.json (dockerd, "registry-mirrors"): mirrors are asked for Docker Hub's images
 * only, in order, and are not told which registry they stand in for.
 */

const KEY = 'registry-mirrors';

/**
 * The text of daemon.json with `mirror` asked first, everything else as it was; null stands for no
 * file. Throws FILE_UNUSABLE.
 */
export function withMirror(text: string | null, mirror: string): string {
  if (text === null || text.trim() === '') return `{\n  "${KEY}": [${JSON.stringify(mirror)}]\n}\n`;
  const { root, mirrors } = parse(text);
  const layout = layoutOf(text, root);
  if (mirrors === null)
    return appendChild(
      text,
      root,
      layout,
      () => `"${KEY}"${layout.colon}[${JSON.stringify(mirror)}]`,
    );
  return mirrorsIn(mirrors).some((known) => same(known, mirror))
    ? text
    : prependChild(text, mirrors, layout, () => JSON.stringify(mirror));
}

/**
 * The text without `mirror`; null when there would be nothing left that was there before. `before`
 * is the file as it was, null: there was none. Throws FILE_UNUSABLE.
 */
export function withoutMirror(text: string, mirror: string, before: string | null): string | null {
  if (withMirror(before, mirror) === text) return before;
  const { root, mirrors } = parse(text);
  const index =
    mirrors === null ? -1 : mirrorsIn(mirrors).findIndex((known) => same(known, mirror));
  if (mirrors === null || index === -1) return text;
  const rest = removeChild(text, mirrors, index);
  return mirrors.children.length > 1
    ? rest
    : removeChild(
        text,
        root,
        root.children.findIndex(({ key }) => key === KEY),
      );
}

function parse(text: string): { root: JsonObject; mirrors: JsonArray | null } {
  const root = parseJsonText(text);
  if (root.kind !== 'object') throw new ShoalError('FILE_UNUSABLE', 'not a JSON object');
  const mirrors = memberOf(root, KEY)?.node ?? null;
  if (mirrors !== null && mirrors.kind !== 'array')
    throw new ShoalError('FILE_UNUSABLE', `"${KEY}" is not an array`);
  return { root, mirrors };
}

function mirrorsIn(mirrors: JsonArray): string[] {
  return mirrors.children.map(({ node }) => (node.kind === 'scalar' ? String(node.value) : ''));
}

function same(a: string, b: string): boolean {
  return a.replace(/\/+$/, '') === b.replace(/\/+$/, '');
}
