import { ShoalError } from '../errors.ts';
import {
  addMember,
  childrenOf,
  keyOf,
  memberOf,
  parseObject,
  removeChild,
  replaceNode,
  textOf,
  type Node,
} from './json-file.ts';

export interface OverlaybdP2p {
  enabled: boolean;
  address: string | null;
}

const SECTION = 'p2pConfig';
/** The members that this tool sets; the others are the operator's. */
const OWN_MEMBERS = ['enable', 'address'];

/** The P2P settings of overlaybd.json. Throws FILE_UNUSABLE when it is damaged. */
export function readP2p(text: string): OverlaybdP2p {
  const { section } = parse(text);
  return { enabled: valueOf(section, 'enable') === true, address: addressOf(section) };
}

/**
 * The text with P2P on toward `address`; every other byte is kept. Throws FILE_UNUSABLE when it is
 * damaged.
 */
export function enableP2p(text: string, address: string): string {
  const { root, section } = parse(text);
  if (section === null) return addMember(text, root, SECTION, { enable: true, address });
  return setMember(setMember(text, 'enable', 'true'), 'address', JSON.stringify(address));
}

/**
 * The text with P2P off. `before` is the file before it was turned on; null when there is no copy:
 * then only the switch is turned. Otherwise the address becomes what it was, and what was not there
 * is removed. Other changes made since are kept. Throws FILE_UNUSABLE when `text` is damaged.
 */
export function disableP2p(text: string, before: string | null): string {
  const { root, section } = parse(text);
  if (section === null) return text;
  const kept = before === null ? null : keptOf(before);
  // Nothing else changed: restore exactly the old bytes, unless they had P2P on toward another
  // address.
  if (
    kept !== null &&
    before !== null &&
    !kept.enabled &&
    enableP2p(before, addressOf(section) ?? '') === text
  )
    return before;
  const own = childrenOf(section).every((member) => OWN_MEMBERS.includes(keyOf(member)));
  if (kept !== null && kept.section === null && own) return removeMember(text, root, SECTION);
  let edited = text;
  if (kept !== null && kept.section !== null)
    edited = restoreMember(edited, 'address', rawOf(kept.text, kept.section, 'address'));
  const removable =
    kept !== null && kept.section !== null && memberOf(kept.section, 'enable') === undefined;
  if (removable) return restoreMember(edited, 'enable', null);
  return valueOf(section, 'enable') === true ? setMember(edited, 'enable', 'false') : edited;
}

/** A damaged backup tells nothing, but P2P can still be turned off. */
function keptOf(before: string): { text: string; section: Node | null; enabled: boolean } | null {
  try {
    const { section } = parse(before);
    return { text: before, section, enabled: valueOf(section, 'enable') === true };
  } catch {
    return null;
  }
}

function parse(text: string): { root: Node; section: Node | null } {
  const root = parseObject(text);
  const section = memberOf(root, SECTION) ?? null;
  if (section === null) return { root, section };
  if (section.type !== 'object')
    throw new ShoalError('FILE_UNUSABLE', `"${SECTION}" is not an object`);
  for (const key of OWN_MEMBERS) memberOf(section, key);
  return { root, section };
}

/** Sets a value (JSON text) of `p2pConfig`, which exists. */
function setMember(text: string, key: string, value: string): string {
  const section = parse(text).section!;
  const node = memberOf(section, key);
  return node === undefined
    ? addMember(text, section, key, JSON.parse(value))
    : replaceNode(text, node, value);
}

function restoreMember(text: string, key: string, value: string | null): string {
  if (value !== null) return setMember(text, key, value);
  return removeMember(text, parse(text).section!, key);
}

function removeMember(text: string, object: Node, key: string): string {
  const index = childrenOf(object).findIndex((member) => keyOf(member) === key);
  return index === -1 ? text : removeChild(text, object, index);
}

function rawOf(text: string, section: Node, key: string): string | null {
  const node = memberOf(section, key);
  return node === undefined ? null : textOf(text, node);
}

function valueOf(section: Node | null, key: string): unknown {
  return section === null ? undefined : memberOf(section, key)?.value;
}

function addressOf(section: Node | null): string | null {
  const address = valueOf(section, 'address');
  return typeof address === 'string' ? address : null;
}
