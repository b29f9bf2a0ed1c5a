import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { isNodeName, isSize, parseObject } from './fields.ts';
import {
  CLOCK_SKEW_MS_MAX,
  MEMBERS_HOLD_MS_MAX,
  MEMBERS_MAX,
  MEMBERS_TEXT_BYTES_MAX,
  ZONE_CHARS_MAX,
} from './limits.ts';
import type { ClusterSecret } from './secret.ts';

/**
 * The list of members, which one node watches at its source and others take from it:
 *
 *   GET /rpc/members?node=A&have=<hash>&version=<n>&hold=<ms>     200 {sealed}, or {}: no list yet
 *
 * `have` is the hash of the list that the asker has; `version` is the version of the source that it
 * comes from. The answer is held for up to `hold` ms while there is nothing newer. It is sealed, so
 * only a node of the cluster can have written it, and names the asker and the time.
 */
export interface MembersQuery {
  node: string;
  /** '' without a list. */
  have: string;
  version: number;
  holdMs: number;
}

/** A member as the list has it. */
interface ListedMember {
  readonly node: string;
  readonly zone: string | null;
}

interface ListedMembers {
  readonly agents: readonly ListedMember[];
  readonly roots: readonly ListedMember[];
}

/** What to do to the list that the asker has; `whole`: forget it. */
export interface MembersChange {
  whole: boolean;
  /** Names that leave the list; those that change their role or zone leave and come. */
  left: readonly string[];
  came: ListedMembers;
}

export interface MembersAnswer {
  /** Hash of the list after the change. */
  hash: string;
  version: number;
  /** How long ago the source confirmed it. */
  ageMs: number;
  /** A packed MembersChange; null: the asker's list is right. */
  change: string | null;
}

const PATH = '/rpc/members';
const HASH = /^[0-9a-f]{64}$/;

export function membersPath({ node, have, version, holdMs }: MembersQuery): string {
  const query = new URLSearchParams({ node, have, version: `${version}`, hold: `${holdMs}` });
  return `${PATH}?${query}`;
}

/** The request in a path and query, or null. */
export function parseMembers(path: string, query: string): MembersQuery | null {
  const fields = new URLSearchParams(query);
  const [node, have] = [fields.get('node') ?? '', fields.get('have') ?? ''];
  const [version, holdMs] = ['version', 'hold'].map((name) => Number(fields.get(name) ?? ''));
  if (path !== PATH || !isNodeName(node) || (have !== '' && !HASH.test(have))) return null;
  if (!isSize(version) || !isSize(holdMs)) return null;
  return { node, have, version, holdMs: Math.min(holdMs, MEMBERS_HOLD_MS_MAX) };
}

/** A change as it travels: JSON, deflated, base64. */
export function packChange({ whole, left, came }: MembersChange): string {
  const rows = (members: readonly ListedMember[]): unknown[] =>
    members.map(({ node, zone }) => (zone === null ? [node] : [node, zone]));
  const text = JSON.stringify({ whole, left, agents: rows(came.agents), roots: rows(came.roots) });
  return deflateRawSync(text).toString('base64');
}

/** The change in a packed text, or null when it is invalid or too long. */
export function unpackChange(packed: string): MembersChange | null {
  let text: string;
  try {
    const bytes = Buffer.from(packed, 'base64');
    text = inflateRawSync(bytes, { maxOutputLength: MEMBERS_TEXT_BYTES_MAX }).toString('utf8');
  } catch {
    return null;
  }
  const { whole, left, agents, roots } = parseObject(text) ?? {};
  const came = [membersOf(agents), membersOf(roots)];
  if (typeof whole !== 'boolean' || !isNames(left) || came[0] == null || came[1] == null)
    return null;
  return { whole, left, came: { agents: came[0], roots: came[1] } };
}

/** The body of an answer to the node `to`. */
export function formatMembersAnswer(
  answer: MembersAnswer,
  to: string,
  wallMs: number,
  secret: ClusterSecret,
): object {
  return { sealed: secret.seal(JSON.stringify({ ...answer, to, atMs: wallMs })) };
}

/**
 * The answer in a body; null: there is none, it is not from a node of this cluster, or it was not
 * made for the node `to` just now.
 */
export function openMembersAnswer(
  body: string,
  to: string,
  wallMs: number,
  secret: ClusterSecret,
): MembersAnswer | null {
  const { sealed } = parseObject(body) ?? {};
  const text = typeof sealed === 'string' ? secret.open(sealed) : null;
  const fields = text === null ? null : parseObject(text);
  if (fields === null || fields['to'] !== to) return null;
  const { hash, version, ageMs, atMs, change } = fields;
  if (!isSize(atMs) || Math.abs(wallMs - atMs) > CLOCK_SKEW_MS_MAX) return null;
  if (typeof hash !== 'string' || !HASH.test(hash) || !isSize(version) || !isSize(ageMs))
    return null;
  if (change !== null && typeof change !== 'string') return null;
  return { hash, version, ageMs, change };
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MEMBERS_MAX && value.every(isName);
}

function membersOf(value: unknown): ListedMember[] | null {
  if (!Array.isArray(value) || value.length > MEMBERS_MAX) return null;
  const members: ListedMember[] = [];
  for (const row of value) {
    if (!Array.isArray(row)) return null;
    const [node, zone = null] = row as unknown[];
    if (!isName(node) || (zone !== null && !isZone(zone))) return null;
    members.push({ node, zone });
  }
  return members;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && isNodeName(value);
}

function isZone(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= ZONE_CHARS_MAX;
}
