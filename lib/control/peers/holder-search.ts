import { LRUCache } from 'lru-cache';
import type { Clock } from '../../clock.ts';
import { HolderDirectory } from '../../swarm/holder-directory.ts';
import { keepersOf } from '../../swarm/offer-book.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import { holdersPath, parseHolderNames, type HoldersQuery } from '../../wire/holders.ts';
import type { PeerCallResult } from '../../workers/peer/call.ts';
import type { CallOptions } from './calls.ts';
import {
  HOLDER_SEARCH_DEADLINE_MS,
  HOLDERS_FOUND_MS,
  HOLDERS_KNOWN_MAX,
  HOLDERS_NONE_MS,
} from './limits.ts';

interface HolderParts {
  self: string;
  clock: Clock;
  random(): number;
  ranked(key: string): readonly string[];
  isMember(node: string): boolean;
  call(node: string, path: string, options: CallOptions): Promise<PeerCallResult>;
  count(name: CounterName): void;
}

interface Found {
  nodes: string[];
  untilMs: number;
}

const NOBODY: readonly string[] = [];

/**
 * Which nodes have a blob whole: kept here for the blobs whose keeper this node is, and asked of
 * the keepers of others.
 */
export class HolderSearch {
  readonly #parts: HolderParts;
  readonly #directory = new HolderDirectory();
  readonly #found = new LRUCache<string, Found>({ max: HOLDERS_KNOWN_MAX });
  readonly #searches = new Map<string, Promise<readonly string[]>>();

  constructor(parts: HolderParts) {
    this.#parts = parts;
  }

  /** `node` offers these blobs. */
  told(node: string, keys: readonly string[]): void {
    const { clock, isMember, self } = this.#parts;
    if (node === self || isMember(node)) this.#directory.told(node, keys, clock.nowMs());
  }

  /** What this node knows, for another one. */
  answer({ key, node }: HoldersQuery): { nodes: string[] } {
    return { nodes: this.#kept(key).filter((holder) => holder !== node) };
  }

  /**
   * Holders of a blob other than this node; resolves within HOLDER_SEARCH_DEADLINE_MS. Searches for
   * the same blob are joined, and their result counts for a while.
   */
  find(key: string): readonly string[] | Promise<readonly string[]> {
    const known = this.#found.get(key);
    if (known !== undefined && this.#parts.clock.nowMs() < known.untilMs) return known.nodes;
    const { self, isMember, ranked } = this.#parts;
    const keepers = keepersOf(ranked(key));
    const others = keepers.filter((node) => node !== self && isMember(node));
    const kept = keepers.includes(self) ? this.#kept(key) : [];
    if (kept.length > 0 || others.length === 0) return this.#hold(key, kept);
    let search = this.#searches.get(key);
    if (search === undefined) {
      search = this.#ask(key, others).finally(() => this.#searches.delete(key));
      this.#searches.set(key, search);
    }
    return search;
  }

  /** `node` does not have the blob any more. */
  missed(key: string, node: string): void {
    const known = this.#found.get(key);
    if (known !== undefined) known.nodes = known.nodes.filter((holder) => holder !== node);
  }

  #kept(key: string): string[] {
    const { clock, random, isMember, self } = this.#parts;
    return this.#directory.holders(key, clock.nowMs(), random, (node) =>
      node === self ? true : isMember(node),
    );
  }

  async #ask(key: string, keepers: readonly string[]): Promise<readonly string[]> {
    const { self, isMember, call } = this.#parts;
    const path = holdersPath({ key, node: self });
    const answers = await Promise.all(
      keepers.map(async (keeper) => {
        const result = await call(keeper, path, { deadlineMs: HOLDER_SEARCH_DEADLINE_MS });
        if (result.kind !== 'answer' || result.status !== 200) return NOBODY;
        return parseHolderNames(new TextDecoder().decode(result.body)) ?? NOBODY;
      }),
    );
    const nodes = [...new Set(answers.flat())];
    return this.#hold(
      key,
      nodes.filter((node) => isMember(node)),
    );
  }

  #hold(key: string, holders: readonly string[]): readonly string[] {
    const { clock, count, self } = this.#parts;
    const nodes = holders.filter((node) => node !== self);
    count(nodes.length > 0 ? 'holders.found' : 'holders.none');
    const forMs = nodes.length > 0 ? HOLDERS_FOUND_MS : HOLDERS_NONE_MS;
    this.#found.set(key, { nodes, untilMs: clock.nowMs() + forMs });
    return nodes;
  }
}
