import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { CHALLENGE_CHARS_MAX, WORDS_MAX } from './limits.ts';
import { isMediaType } from './media.ts';
import { isSha256 } from './names.ts';

/**
 * The Warning of an answer that the registry, being down, did not give: code 299, agent `-`, no
 * date (distribution-spec 1.1, "Warnings").
 */
export const STALE_WARNING = '299 - "the registry is down: this is what it said before"';

/**
 * Something a registry said that still helps when it says nothing any more. What it is about stands
 * in its id alone, which cannot be read back.
 */
export type Word =
  /** A credential was accepted for a repository. */
  | { kind: 'grant' }
  /** A tag or digest of a repository stood for this manifest. */
  | { kind: 'manifest'; digest: string; contentType: string }
  /**
   * Who comes to this registry without a credential is told this (a WWW-Authenticate header,
   * without its scope).
   */
  | { kind: 'challenge'; challenge: string }
  /** This registry can be asked without a credential. */
  | { kind: 'open' }
  /** What was said under this id before holds no more. */
  | { kind: 'withdrawn' };

/** A word, how long ago it was said, and the node that heard the registry say it. */
export interface HeardWord {
  word: Word;
  ageMs: number;
  node: string;
}

interface Entry {
  word: Word;
  saidMs: number;
  node: string;
  /** When others were last told; null: never by this node. */
  toldMs: number | null;
}

/** What registries said lately, by opaque ids; bounded in number and age. */
export class WordTable {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #entries: LRUCache<string, Entry>;

  constructor(clock: Clock, ttlMs: number, wordsMax = WORDS_MAX) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#entries = new LRUCache({ max: wordsMax });
  }

  /**
   * The registry has just said it to this node. Whether others should hear of it: it is new to
   * them, or they may soon have forgotten.
   */
  said(id: string, word: Word, node: string): boolean {
    const nowMs = this.#clock.nowMs();
    const known = this.#entries.get(id);
    const toldMs = known !== undefined && sameWord(known.word, word) ? known.toldMs : null;
    const isDue = toldMs === null || nowMs - toldMs >= this.#ttlMs / 4;
    this.#entries.set(id, { word, saidMs: nowMs, node, toldMs: isDue ? nowMs : toldMs });
    return isDue;
  }

  /** Another node says that the registry said it; the younger word counts. */
  heard(id: string, heard: HeardWord): void {
    const saidMs = this.#clock.nowMs() - heard.ageMs;
    const known = this.#entries.peek(id);
    if (known !== undefined && known.saidMs >= saidMs) return;
    const toldMs = known !== undefined && sameWord(known.word, heard.word) ? known.toldMs : null;
    this.#entries.set(id, { word: heard.word, saidMs, node: heard.node, toldMs });
  }

  /** What was said last under `id`, if it is young enough to count. */
  find(id: string): HeardWord | null {
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    const ageMs = this.#clock.nowMs() - entry.saidMs;
    if (ageMs < this.#ttlMs) return { word: entry.word, ageMs, node: entry.node };
    this.#entries.delete(id);
    return null;
  }
}

/** A heard word as it came over the wire, or null when it is none. */
export function parseHeardWord(value: unknown): HeardWord | null {
  if (typeof value !== 'object' || value === null) return null;
  const { word, ageMs, node } = value as Record<string, unknown>;
  const parsed = parseWord(word);
  const isAge = typeof ageMs === 'number' && Number.isFinite(ageMs) && ageMs >= 0;
  return parsed !== null && isAge && typeof node === 'string' && node.length <= 80
    ? { word: parsed, ageMs, node }
    : null;
}

function parseWord(value: unknown): Word | null {
  if (typeof value !== 'object' || value === null) return null;
  const { kind, digest, contentType, challenge } = value as Record<string, unknown>;
  if (kind === 'grant' || kind === 'open' || kind === 'withdrawn') return { kind };
  if (kind === 'manifest')
    return typeof digest === 'string' &&
      isSha256(digest) &&
      typeof contentType === 'string' &&
      isMediaType(contentType)
      ? { kind, digest, contentType }
      : null;
  return kind === 'challenge' && typeof challenge === 'string' && isChallenge(challenge)
    ? { kind, challenge }
    : null;
}

/** Whether `text` may stand in a WWW-Authenticate header. */
function isChallenge(text: string): boolean {
  return text.length <= CHALLENGE_CHARS_MAX && /^[A-Za-z]+ [\x20-\x7e]*$/.test(text);
}

/**
 * A challenge, of several the one for a token, without what belongs to one request (docker's token
 * specification: scope, error), or null when it is none to keep.
 */
export function lastingChallenge(header: string): string | null {
  const lines = header.split('\n');
  const first = lines.find((line) => /^bearer /i.test(line)) ?? lines[0]!;
  const bare = first
    .replace(/,?\s*\b(?:scope|error|error_description)="[^"]*"/gi, '')
    .replace(/^(\w+)\s*,\s*/, '$1 ');
  return isChallenge(bare) ? bare : null;
}

/**
 * A kept challenge as the registry would put it for pulling from `repository`, or for `/v2/`
 * (null).
 */
export function challengeFor(challenge: string, repository: string | null): string {
  return repository !== null && /^bearer /i.test(challenge)
    ? `${challenge},scope="repository:${repository}:pull"`
    : challenge;
}

function sameWord(a: Word, b: Word): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
