import type { Clock, Timer } from '../clock.ts';
import { feedPath } from '../swarm/feed.ts';
import {
  formatMembersAnswer,
  membersPath,
  openMembersAnswer,
  type MembersAnswer,
  type MembersQuery,
} from '../wire/members.ts';
import type { ClusterSecret } from '../wire/secret.ts';
import {
  FEED_ANSWER_MS,
  FEED_FIRST_ASKS,
  FEED_HELD_MAX,
  FEED_HOLD_MS,
  FEED_PAUSE_MS,
  FEED_RETRY_MS,
  FEED_SKIP_MS,
  FEED_SPREAD_MS,
  FEED_STALE_MS,
  MEMBERSHIP_START_TIMEOUT_MS,
} from './limits.ts';
import { MemberBook } from './member-book.ts';
import type { Membership, MembershipView } from './membership.ts';

/** How a node asks others for the list of members. */
export interface Feed {
  /** This node's name. */
  self: string;
  isRoot: boolean;
  secret: ClusterSecret;
  /** The body of a 200 to a request of `node`, or null. Resolves always, within the deadline. */
  ask(node: string, path: string, deadlineMs: number): Promise<string | null>;
  /** What happened; see shoal_member_list_total. */
  count(event: FeedEvent): void;
}

export type FeedEvent = 'confirmed' | 'changed' | 'silent' | 'watching';

/** A watch of the source that is under way. */
export interface SourceWatch extends Membership {
  /** Version of the last view. */
  readonly version: number;
  /** When the source last answered, on the clock; -Infinity: never. */
  readonly heardMs: number;
}

/** Where the list of members comes from. */
interface MemberSource {
  watch(): SourceWatch;
  /** Some members, for a fraction of what all of them cost. Rejects when the source fails. */
  peek(): Promise<MembershipView>;
}

interface FedMembershipOptions extends Feed {
  source: MemberSource;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
}

type Heard = 'fresh' | 'stale' | 'silent';

/**
 * Membership that only a few nodes take from the source, and all others from each other: the load
 * of the source does not grow with the square of the nodes. See lib/swarm/feed.ts for who asks
 * whom.
 *
 *   start -> peek at the source -> ask somebody for the list -> follow: ask along the path, again
 *   and again; each answer is held until there is a change
 *   this node is to watch, or nobody answers, or nobody has a fresh list -> watch the source, too
 */
export class FedMembership implements Membership {
  readonly #options: FedMembershipOptions;
  readonly #book = new MemberBook();
  readonly #silentUntilMs = new Map<string, number>();
  /** End the waits for a change: of held requests, and of this node's own loop. */
  readonly #wakes = new Set<() => void>();
  #held = 0;
  #tell: ((view: MembershipView) => void) | null = null;
  #watch: SourceWatch | null = null;
  /** When the source confirmed the list, as others said. */
  #confirmedMs = -Infinity;
  /** No node had a fresh list: the time from which this node watches. */
  #watchAtMs: number | null = null;
  /** The last change did not fit: the whole list is asked for next. */
  #isAstray = false;
  #stopped = false;

  constructor(options: FedMembershipOptions) {
    this.#options = options;
  }

  async start(onChange: (view: MembershipView) => void): Promise<void> {
    this.#tell = onChange;
    const late = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(MEMBERSHIP_START_TIMEOUT_MS, late.resolve);
    const begun = this.#begin();
    void begun.then(() => this.#run());
    await Promise.race([begun, late.promise]);
    timer.cancel();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#tell = null;
    this.#wake();
    await this.#endWatch();
  }

  /** Answers another node that asks for the list. */
  async answer({ node, have, version, holdMs }: MembersQuery): Promise<object> {
    const isNews = (): boolean => {
      const list = this.#book.current;
      return list !== null && list.hash !== have && list.version >= version;
    };
    const untilMs = this.#options.clock.nowMs() + holdMs;
    if (!isNews() && this.#held >= FEED_HELD_MAX) return {};
    this.#held++;
    while (!isNews() && !this.#stopped) {
      const leftMs = untilMs - this.#options.clock.nowMs();
      if (leftMs <= 0) break;
      await this.#changed(leftMs);
    }
    this.#held--;
    const list = this.#book.current;
    if (list === null || this.#stopped) return {};
    const ageMs = this.#ageMs();
    if (ageMs === null) return {};
    return formatMembersAnswer(
      {
        hash: list.hash,
        version: list.version,
        ageMs,
        change: isNews() ? this.#book.changeFrom(have) : null,
      },
      node,
      this.#options.clock.wallMs(),
      this.#options.secret,
    );
  }

  /** Whether this node watches the source itself. */
  get isWatching(): boolean {
    return this.#watch !== null;
  }

  /** The first list: from a node that the source names, else by a watch. */
  async #begin(): Promise<void> {
    if (!this.#options.isRoot) {
      const some = await this.#options.source.peek().catch(() => null);
      const names = (some?.roots.length ? some.roots : (some?.agents ?? [])).map(
        ({ node }) => node,
      );
      const others = this.#shuffled(names.filter((node) => node !== this.#options.self));
      for (const node of others.slice(0, FEED_FIRST_ASKS))
        if (!this.#stopped && (await this.#ask(node, 0)) === 'fresh') return;
    }
    await this.#beginWatch();
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    while (!this.#stopped) {
      const path = this.#path();
      if (path.length === 0) {
        await this.#beginWatch();
        await this.#changed(FEED_STALE_MS);
        continue;
      }
      const beganMs = clock.nowMs();
      const had = this.#book.current?.hash;
      const heard = await this.#askAlong(path);
      if (this.#stopped) return;
      if (heard === 'fresh') {
        this.#watchAtMs = null;
        await this.#endWatch();
        const isIdle = this.#book.current?.hash === had && clock.nowMs() - beganMs < FEED_PAUSE_MS;
        if (isIdle) await this.#pause(FEED_PAUSE_MS);
        continue;
      }
      const spreadMs = heard === 'stale' ? FEED_STALE_MS : FEED_SPREAD_MS;
      this.#watchAtMs ??= clock.nowMs() + random() * spreadMs;
      const leftMs = this.#watchAtMs - clock.nowMs();
      if (leftMs <= 0) await this.#beginWatch();
      await this.#pause(
        leftMs > 0 ? Math.min(leftMs, FEED_RETRY_MS) : FEED_RETRY_MS * (0.5 + random()),
      );
    }
  }

  #path(): readonly string[] {
    const { self, isRoot } = this.#options;
    const { agents = [], roots = [] } = this.#book.current?.view ?? {};
    const names = (members: MembershipView['agents']): string[] => members.map(({ node }) => node);
    return feedPath({ agents: names(agents), roots: names(roots) }, self, isRoot);
  }

  /** Asks the nodes of a path one after the other until one has a fresh list. */
  async #askAlong(path: readonly string[]): Promise<Heard> {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    for (const [node, untilMs] of this.#silentUntilMs)
      if (untilMs <= nowMs) this.#silentUntilMs.delete(node);
    const speaking = path.filter((node) => !this.#silentUntilMs.has(node));
    // A node that watches meanwhile has no need to wait for news of others.
    const holdMs = this.#watch === null ? FEED_HOLD_MS : 0;
    let best: Heard = 'silent';
    for (const node of speaking.length > 0 ? speaking : path) {
      const heard = await this.#ask(node, holdMs);
      if (heard === 'fresh' || this.#stopped) return heard;
      if (heard === 'stale') best = 'stale';
      else this.#silentUntilMs.set(node, clock.nowMs() + FEED_SKIP_MS);
    }
    return best;
  }

  async #ask(node: string, holdMs: number): Promise<Heard> {
    const { self, secret, clock, ask, count } = this.#options;
    const list = this.#book.current;
    const have = this.#isAstray ? '' : (list?.hash ?? '');
    // A list that the source has not confirmed for long does not keep out one of a lower version:
    // the source may have been restored from a backup.
    const version = this.#isStale() ? 0 : (list?.version ?? 0);
    const path = membersPath({ node: self, have, version, holdMs });
    const body = await ask(node, path, holdMs + FEED_ANSWER_MS);
    if (this.#stopped) return 'silent';
    const answer = body === null ? null : openMembersAnswer(body, self, clock.wallMs(), secret);
    if (answer === null) {
      count('silent');
      return 'silent';
    }
    if (answer.ageMs > FEED_STALE_MS) return 'stale';
    const took = this.#take(answer, version);
    if (took === 'astray') return have === '' ? 'silent' : this.#ask(node, 0);
    if (took === 'confirmed')
      this.#confirmedMs = Math.max(this.#confirmedMs, clock.nowMs() - answer.ageMs);
    return this.#isStale() ? 'stale' : 'fresh';
  }

  /** `behind`: the other node has an older list; `astray`: its change does not fit this node's. */
  #take(answer: MembersAnswer, versionMin: number): 'confirmed' | 'behind' | 'astray' {
    const { hash, version, change } = answer;
    const list = this.#book.current;
    if (change === null && list?.hash === hash) {
      this.#book.adopt({ ...list, version: Math.max(list.version, version) });
      this.#options.count('confirmed');
      return 'confirmed';
    }
    if (version < versionMin) return 'behind';
    const next = change === null ? null : this.#book.changed(change, version, hash);
    this.#isAstray = next === null;
    if (next === null) return 'astray';
    this.#options.count('changed');
    if (this.#book.adopt(next)) this.#told(next.view);
    return 'confirmed';
  }

  async #beginWatch(): Promise<void> {
    if (this.#watch !== null || this.#stopped) return;
    this.#options.count('watching');
    const watch = (this.#watch = this.#options.source.watch());
    await watch.start((view) => {
      if (this.#watch === watch && this.#book.take(view, watch.version)) this.#told(view);
    });
  }

  async #endWatch(): Promise<void> {
    const watch = this.#watch;
    this.#watch = null;
    if (watch !== null) this.#confirmedMs = Math.max(this.#confirmedMs, watch.heardMs);
    await watch?.stop();
  }

  #told(view: MembershipView): void {
    this.#tell?.(view);
    this.#wake();
  }

  /** How long ago the source confirmed the list; null: never. */
  #ageMs(): number | null {
    const confirmedMs = Math.max(this.#confirmedMs, this.#watch?.heardMs ?? -Infinity);
    if (confirmedMs === -Infinity) return null;
    return Math.max(0, Math.round(this.#options.clock.nowMs() - confirmedMs));
  }

  #isStale(): boolean {
    return (this.#ageMs() ?? Infinity) > FEED_STALE_MS;
  }

  #wake(): void {
    for (const wake of [...this.#wakes]) wake();
  }

  /** Resolves at the next change, after `ms`, or at the stop. */
  async #changed(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer: Timer = this.#options.clock.after(ms, resolve);
    this.#wakes.add(resolve);
    await promise;
    this.#wakes.delete(resolve);
    timer.cancel();
  }

  async #pause(ms: number): Promise<void> {
    const untilMs = this.#options.clock.nowMs() + ms;
    while (!this.#stopped && this.#options.clock.nowMs() < untilMs)
      await this.#changed(untilMs - this.#options.clock.nowMs());
  }

  #shuffled(nodes: readonly string[]): string[] {
    return nodes
      .map((node) => ({ node, at: this.#options.random() }))
      .sort((one, other) => one.at - other.at)
      .map(({ node }) => node);
  }
}
