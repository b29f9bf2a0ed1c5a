import type { Clock } from '../../clock.ts';
import { CredentialNames, isToken } from '../../cluster/credential-name.ts';
import { parseWords, recallPath, WORDS_PATH } from '../../wire/recall.ts';
import type { ClusterSecret } from '../../wire/secret.ts';
import { RECALL_DEADLINE_MS, RECALL_NODES_MAX, WORD_KEEPERS } from '../limits.ts';
import { issuedTo } from '../../registry/issued-token.ts';
import { parseHeardWord, WordTable, type HeardWord, type Word } from '../../registry/words.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { CallOptions } from '../peers/calls.ts';

interface MemoryParts {
  /** This node's name. */
  self: string;
  clock: Clock;
  secret: ClusterSecret;
  /** How long an answer of a registry is valid; 0: none is remembered, sent or asked for. */
  ttlMs: number;
  /** The nodes that keep the entry `name`, best first. */
  ranked(name: string): readonly string[];
  isMember(node: string): boolean;
  /** Whether this node has a manifest itself. */
  has(digest: string): boolean;
  /**
   * This node keeps the answers about a manifest that `node` has, so it is to have the manifest
   * too.
   */
  copy(digest: string, node: string): void;
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult>;
  count(name: CounterName): void;
}

/**
 * What a registry said of a tag or digest, and which nodes heard it: they have the manifest, unless
 * it was evicted.
 */
interface RememberedManifest {
  digest: string;
  contentType: string;
  nodes: string[];
}

/** How long ago a credential was accepted for a repository, or refused. */
interface RememberedRight {
  isGranted: boolean;
  ageMs: number;
}

/**
 * What registries said lately, to this node and to others, for the time they say nothing. All is
 * told and asked by opaque names under the cluster secret, so a node learns what is behind one only
 * when it can name it itself.
 *
 *   a registry answers -> said here -> told to the repository's keepers (first in its rank), who
 * take a copy of the manifest
 *   it is down         -> looked up here and at the first nodes of the rank; the youngest word
 * counts
 */
export class RegistryMemory {
  readonly #parts: MemoryParts;
  readonly #table: WordTable;
  readonly #credentials: CredentialNames;
  readonly #recalls = new Map<string, Promise<HeardWord[][]>>();

  constructor(parts: MemoryParts) {
    this.#parts = parts;
    this.#table = new WordTable(parts.clock, parts.ttlMs);
    this.#credentials = new CredentialNames(parts.secret);
  }

  /**
   * A registry has accepted `authorization` for the repository of `scope`, in which each of
   * `references` names a manifest.
   */
  async served(
    scope: string,
    authorization: string | null,
    references: readonly string[],
    manifest: { digest: string; contentType: string } | null,
  ): Promise<void> {
    if (this.#parts.ttlMs === 0) return;
    const said: [string, Word][] = [];
    if (manifest !== null)
      for (const reference of references)
        said.push([this.#manifestId(scope, reference), { kind: 'manifest', ...manifest }]);
    for (const id of await this.#grantIds(scope, authorization)) said.push([id, { kind: 'grant' }]);
    if (authorization === null)
      this.#said(hostOf(scope), [[this.#hostId('open', hostOf(scope)), { kind: 'open' }]]);
    this.#said(scope, said);
  }

  /**
   * A registry has refused `authorization` for a repository (401, 403), or knows `reference` no
   * more (404). It only matters where this node remembers otherwise; `remembered`: whether this
   * very credential may be among that, since the name of a password is slow to make.
   */
  async refused(
    scope: string,
    authorization: string | null,
    reference: string,
    status: number,
    remembered: boolean,
  ): Promise<void> {
    if (this.#parts.ttlMs === 0) return;
    if (status === 404) this.#withdraw(scope, this.#manifestId(scope, reference));
    else if (remembered || (authorization !== null && isToken(authorization)))
      for (const id of await this.#grantIds(scope, authorization)) this.#withdraw(scope, id);
  }

  /**
   * How a registry answers a client without a credential: its `challenge` (lib/registry/words.ts),
   * or null if it needs none.
   */
  greeted(host: string, challenge: string | null): void {
    if (this.#parts.ttlMs === 0) return;
    this.#said(host, [
      challenge === null
        ? [this.#hostId('open', host), { kind: 'open' }]
        : [this.#hostId('challenge', host), { kind: 'challenge', challenge }],
    ]);
  }

  /**
   * This node has a manifest that the registry of `scope` has vouched for: others may find it here.
   */
  holds(scope: string, manifest: { digest: string; contentType: string }): void {
    if (this.#parts.ttlMs > 0)
      this.#said(scope, [
        [this.#manifestId(scope, manifest.digest), { kind: 'manifest', ...manifest }],
      ]);
  }

  /**
   * What a registry said last of `authorization` in a repository, and of `reference`; null: nothing
   * in living memory.
   */
  async recall(
    scope: string,
    authorization: string | null,
    reference: string,
  ): Promise<{ right: RememberedRight | null; manifest: RememberedManifest | null }> {
    if (this.#parts.ttlMs === 0) return { right: null, manifest: null };
    const [manifests = [], ...grants] = await this.#recall(scope, [
      this.#manifestId(scope, reference),
      ...(await this.#grantIds(scope, authorization)),
    ]);
    const newest = manifests[0]?.word;
    const manifest =
      newest?.kind !== 'manifest'
        ? null
        : {
            digest: newest.digest,
            contentType: newest.contentType,
            nodes: [
              ...new Set(
                manifests
                  .filter(({ word }) => word.kind === 'manifest' && word.digest === newest.digest)
                  .map(({ node }) => node),
              ),
            ],
          };
    const [said] = grants.flat().toSorted((a, b) => a.ageMs - b.ageMs);
    return {
      right:
        said === undefined ? null : { isGranted: said.word.kind === 'grant', ageMs: said.ageMs },
      manifest,
    };
  }

  /**
   * How a registry answers a client without a credential: its challenge; null: it needs none;
   * undefined: not known.
   */
  async recallGreeting(host: string): Promise<string | null | undefined> {
    if (this.#parts.ttlMs === 0) return undefined;
    const [challenges = [], opens = []] = await this.#recall(host, [
      this.#hostId('challenge', host),
      this.#hostId('open', host),
    ]);
    if (challenges[0]?.word.kind === 'challenge') return challenges[0].word.challenge;
    return opens[0]?.word.kind === 'open' ? null : undefined;
  }

  /** Another node's question, answered from here alone. */
  answer(ids: readonly string[]): Record<string, HeardWord> {
    return Object.fromEntries(
      ids.flatMap((id) => {
        const heard = this.#table.find(id);
        if (heard === null) return [];
        const isHere = heard.word.kind === 'manifest' && this.#parts.has(heard.word.digest);
        return [[id, isHere ? { ...heard, node: this.#parts.self } : heard]];
      }),
    );
  }

  /** Another node tells what registries said. */
  told(words: Record<string, unknown>): void {
    if (this.#parts.ttlMs === 0) return;
    for (const [id, value] of Object.entries(words)) {
      const heard = parseHeardWord(value);
      if (heard === null) continue;
      this.#table.heard(id, heard);
      if (heard.word.kind === 'manifest' && this.#parts.isMember(heard.node))
        this.#parts.copy(heard.word.digest, heard.node);
    }
  }

  #withdraw(scope: string, id: string): void {
    if (this.#table.find(id) !== null) this.#said(scope, [[id, { kind: 'withdrawn' }]]);
  }

  #said(name: string, said: readonly [string, Word][]): void {
    const due = said.filter(([id, word]) => this.#table.said(id, word, this.#parts.self));
    if (due.length === 0) return;
    const words = JSON.stringify(this.answer(due.map(([id]) => id)));
    for (const node of this.#others(name, WORD_KEEPERS)) {
      void this.#parts
        .call(node, WORDS_PATH, { deadlineMs: RECALL_DEADLINE_MS, words })
        .then((result) => {
          this.#parts.count(
            result.kind === 'answer' && result.status === 200 ? 'memory.told' : 'memory.untold',
          );
        });
    }
  }

  /**
   * The entries under each of `ids`, from here and from the nodes that keep them, newest first.
   * Concurrent equal questions are joined.
   */
  #recall(name: string, ids: readonly string[]): Promise<HeardWord[][]> {
    const path = recallPath(ids);
    let recall = this.#recalls.get(path);
    if (recall === undefined)
      this.#recalls.set(
        path,
        (recall = this.#ask(name, ids, path).finally(() => this.#recalls.delete(path))),
      );
    return recall;
  }

  async #ask(name: string, ids: readonly string[], path: string): Promise<HeardWord[][]> {
    const { call, isMember, self, ttlMs, count } = this.#parts;
    const answers = await Promise.all(
      this.#others(name, RECALL_NODES_MAX).map(async (node) => {
        const result = await call(node, path, { deadlineMs: RECALL_DEADLINE_MS });
        const words =
          result.kind === 'answer' && result.status === 200
            ? parseWords(new TextDecoder().decode(result.body))
            : null;
        for (const [id, value] of Object.entries(words ?? {})) {
          const heard = parseHeardWord(value);
          if (heard !== null && ids.includes(id)) this.#table.heard(id, heard);
        }
        return words ?? {};
      }),
    );
    answers.push(this.answer(ids));
    const found = ids.map((id) =>
      answers
        .map((words) => parseHeardWord(words[id]))
        .filter(
          (heard): heard is HeardWord =>
            heard !== null && heard.ageMs < ttlMs && (heard.node === self || isMember(heard.node)),
        )
        .toSorted((a, b) => a.ageMs - b.ageMs),
    );
    count(found.some((heard) => heard.length > 0) ? 'memory.found' : 'memory.nothing');
    return found;
  }

  #others(name: string, countMax: number): string[] {
    return this.#parts
      .ranked(this.#parts.secret.opaqueName('keepers', name))
      .filter((node) => node !== this.#parts.self)
      .slice(0, countMax);
  }

  /**
   * The names of a right of this credential: its own and, for a token that names its user and
   * issuer, that of every such token. None: too many passwords wait for their names, so this right
   * is neither sent nor asked for.
   */
  async #grantIds(scope: string, authorization: string | null): Promise<string[]> {
    const { secret, clock, count } = this.#parts;
    const name = await this.#credentials.of(authorization);
    if (name === null) {
      count('memory.crowded');
      return [];
    }
    const holder =
      authorization === null
        ? null
        : await issuedTo(
            authorization,
            scope.slice(`repo ${hostOf(scope)}/`.length),
            clock.wallMs(),
          );
    return [
      secret.opaqueName('grant', scope, name),
      ...(holder === null ? [] : [secret.opaqueName('holder', scope, ...holder)]),
    ];
  }

  #manifestId(scope: string, reference: string): string {
    return this.#parts.secret.opaqueName('manifest', scope, reference);
  }

  #hostId(kind: 'challenge' | 'open', host: string): string {
    return this.#parts.secret.opaqueName(kind, host);
  }
}

/** The registry of a repository's scope (`repo <host>/<name>`). */
function hostOf(scope: string): string {
  return /^repo ([^/]+)\//.exec(scope)?.[1] ?? '';
}
