import { ShoalError } from '../errors.ts';
import { appendChild, layoutOf, removeChild, renderObject, replaceNode } from './json-edit.ts';
import { memberOf, parseJsonText } from './json-text.ts';
import type { JsonMember, JsonNode, JsonObject } from './json-text.ts';

export interface OverlaybdP2p {
  enabled: boolean;
  address: string | null;
}

const SECTION = 'p2pConfig';
/** The members this tool sets; every other one is the operator's. */
const OWN_MEMBERS = ['enable', 'address'];

/** What overlaybd.json says about P2P. Throws FILE_UNUSABLE when it is damaged. */
export function readP2p(text: string): OverlaybdP2p {
  const { section } = parse(text);
  return { enabled: scalarOf(section, 'enable') === true, address: addressOf(section) };
}

/**
 * The text with P2P on toward `address`, every other byte as it was. Throws FILE_UNUSABLE when it
 * is damaged.
 */
export function enableP2p(text: string, address: string): string {
  const { root, section } = parse(text);
  if (section === null) {
    const layout = layoutOf(text, root);
    const members: [string, string][] = [
      ['enable', 'true'],
      ['address', JSON.stringify(address)],
    ];
    return appendChild(
      text,
      root,
      layout,
      (indent) =>
        `${JSON.stringify(SECTION)}${layout.colon}${renderObject(members, layout, indent)}`,
    );
  }
  return setMember(setMember(text, 'enable', 'true'), 'address', JSON.stringify(address));
}

/**
 * The text with P2P off. `before` is the file as it was before it was turned on, null when nobody
 * kept it: then only the switch is turned; else the address is what it was, and what was not there
 * is gone again. Other changes made since stay. Throws FILE_UNUSABLE when `text` is damaged.
 */
export function disableP2p(text: string, before: string | null): string {
  const { root, section } = parse(text);
  if (section === null) return text;
  const kept = before === null ? null : keptOf(before);
  // Nothing else changed: exactly the old bytes, unless they had P2P on, toward somebody else.
  if (
    kept !== null &&
    before !== null &&
    !kept.enabled &&
    enableP2p(before, addressOf(section) ?? '') === text
  )
    return before;
  const own = section.children.every((member) => OWN_MEMBERS.includes(member.key));
  if (kept !== null && kept.section === null && own) return removeMember(text, root, SECTION);
  let edited = text;
  if (kept !== null && kept.section !== null)
    edited = restoreMember(edited, 'address', rawOf(kept.text, kept.section, 'address'));
  const removable =
    kept !== null && kept.section !== null && memberOf(kept.section, 'enable') === undefined;
  if (removable) return restoreMember(edited, 'enable', null);
  return scalarOf(section, 'enable') === true ? setMember(edited, 'enable', 'false') : edited;
}

/** A backup that is damaged says nothing, but does not keep anyone from turning P2P off. */
function keptOf(
  before: string,
): { text: string; section: JsonObject | null; enabled: boolean } | null {
  try {
    const { section } = parse(before);
    return { text: before, section, enabled: scalarOf(section, 'enable') === true };
  } catch {
    return null;
  }
}

function parse(text: string): { root: JsonObject; section: JsonObject | null } {
  const root = parseJsonText(text);
  if (root.kind !== 'object') throw new ShoalError('FILE_UNUSABLE', 'not a JSON object');
  const section = memberOf(root, SECTION)?.node ?? null;
  if (section === null) return { root, section };
  if (section.kind !== 'object')
    throw new ShoalError('FILE_UNUSABLE', `"${SECTION}" is not an object`);
  for (const key of OWN_MEMBERS) memberOf(section, key);
  return { root, section };
}

/** Puts a value of `p2pConfig`, which is there, in its place. */
function setMember(text: string, key: string, value: string): string {
  const { root, section } = parse(text);
  const member = memberOf(section!, key);
  if (member !== undefined) return replaceNode(text, member.node, value);
  const layout = layoutOf(text, root);
  return appendChild(text, section!, layout, () => `${JSON.stringify(key)}${layout.colon}${value}`);
}

function restoreMember(text: string, key: string, value: string | null): string {
  const { section } = parse(text);
  if (value !== null) return setMember(text, key, value);
  return removeMember(text, section!, key);
}

function removeMember(text: string, object: JsonObject, key: string): string {
  const index = object.children.findIndex((member: JsonMember) => member.key === key);
  return index === -1 ? text : removeChild(text, object, index);
}

function rawOf(text: string, section: JsonObject, key: string): string | null {
  const node: JsonNode | undefined = memberOf(section, key)?.node;
  return node === undefined ? null : text.slice(node.start, node.end);
}

function scalarOf(section: JsonObject | null, key: string): unknown {
  const node = section === null ? undefined : memberOf(section, key)?.node;
  return node?.kind === 'scalar' ? node.value : undefined;
}

function addressOf(section: JsonObject | null): string | null {
  const address = scalarOf(section, 'address');
  return typeof address === 'string' ? address : null;
}
