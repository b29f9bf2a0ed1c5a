import { ShoalError } from '../errors.ts';
import {
  addMember,
  childrenOf,
  keyOf,
  memberOf,
  parseObject,
  prependItem,
  removeChild,
  type Node,
} from './json-file.ts';

/*
 * Docker's daemon.json (dockerd, "registry-mirrors"). Docker asks mirrors for Docker Hub's images
 * only, in order, and does not tell them which registry they stand in for.
 */

const KEY = 'registry-mirrors';

/**
 * The text of daemon.json with `mirror` asked first, everything else kept; null stands for no file.
 * Throws FILE_UNUSABLE.
 */
export function withMirror(text: string | null, mirror: string): string {
  if (text === null || text.trim() === '') return `{\n  "${KEY}": [${JSON.stringify(mirror)}]\n}\n`;
  const { root, mirrors } = parse(text);
  // An empty array first: a list of one item stays on its line.
  if (mirrors === null) return withMirror(addMember(text, root, KEY, []), mirror);
  return mirrorsIn(mirrors).some((known) => isSame(known, mirror))
    ? text
    : prependItem(text, mirrors, JSON.stringify(mirror));
}

/** The mirrors that daemon.json names; null stands for no file. Throws FILE_UNUSABLE. */
export function mirrorsOf(text: string | null): string[] {
  const mirrors = text === null || text.trim() === '' ? null : parse(text).mirrors;
  return mirrors === null ? [] : mirrorsIn(mirrors);
}

/**
 * The text without `mirror`; null when nothing would be left of a file that did not exist before.
 * `before` is the earlier content; null: there was no file. Throws FILE_UNUSABLE.
 */
export function withoutMirror(text: string, mirror: string, before: string | null): string | null {
  if (withMirror(before, mirror) === text) return before;
  const { root, mirrors } = parse(text);
  const index =
    mirrors === null ? -1 : mirrorsIn(mirrors).findIndex((known) => isSame(known, mirror));
  if (mirrors === null || index === -1) return text;
  if (childrenOf(mirrors).length > 1) return removeChild(text, mirrors, index);
  return removeChild(
    text,
    root,
    childrenOf(root).findIndex((member) => keyOf(member) === KEY),
  );
}

function parse(text: string): { root: Node; mirrors: Node | null } {
  const root = parseObject(text);
  const mirrors = memberOf(root, KEY) ?? null;
  if (mirrors !== null && mirrors.type !== 'array')
    throw new ShoalError('FILE_UNUSABLE', `"${KEY}" is not an array`);
  return { root, mirrors };
}

function mirrorsIn(mirrors: Node): string[] {
  return childrenOf(mirrors).map(({ value }) => String(value ?? ''));
}

export function isSame(a: string, b: string): boolean {
  return a.replace(/\/+$/, '') === b.replace(/\/+$/, '');
}
