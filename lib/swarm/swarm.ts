import { Caution } from './caution.ts';
import {
  HOPS_MAX,
  ORIGIN_REQUEST_SHARDS_MAX,
  OWNER_RETRY_MS,
  SOUNDING_LOOK_MS,
  TRACKER_IDLE_MS,
  UPLOADS_MAX,
  YIELD_OWNERS_MAX,
} from './limits.ts';
import { Arrivals } from './arrivals.ts';
import { ShardFetch } from './fetch.ts';
import type { FetchShared } from './fetch-shared.ts';
import { Lines } from './lines.ts';
import { PeerHealth } from './health.ts';
import { Pace } from './pace.ts';
import { Membership } from './rank.ts';
import { ShardMap } from './shard-map.ts';
import { Soundings } from './soundings.ts';
import { shapeFor, type TreeShape } from './shape.ts';
import { innerShards } from './tracker.ts';
import { Trackers } from './trackers.ts';
import type {
  AskRequest,
  Distrust,
  Fetch,
  OriginRef,
  FetchResult,
  Member,
  NodeId,
  PeerStatus,
  Report,
  ShardId,
  ShardFacts,
  SwarmOptions,
  SwarmSnapshot,
  TreeEdge,
  Verdict,
} from './types.ts';

/** Interval at which idle entries are removed. */
const SWEEP_MS = 5_000;

/**
 * One node's part in the swarm: its fetches, the shards that it tracks as their owner, and the
 * health of other nodes. It decides; the node's driver (`FetchEffects`) executes. Not thread-safe:
 * it lives on one thread.
 */
export class Swarm {
  readonly #self: Member;
  readonly #options: SwarmOptions;
  readonly #shared: FetchShared;
  readonly #health: PeerHealth;
  readonly #fetches = new ShardMap<ShardFetch>();
  readonly #shape: () => TreeShape;
  readonly #trackers: Trackers;
  readonly #lines: Lines;
  #membership: Membership;
  #uploads = 0;
  #sweptMs = 0;
  #soundedMs = -Infinity;

  /** `shape` is for the simulator's experiments. */
  constructor(options: SwarmOptions, shape?: TreeShape) {
    this.#options = options;
    this.#self = options.self;
    this.#membership = new Membership([options.self]);
    this.#health = new PeerHealth(options.random);
    const pace = new Pace();
    this.#shape = () => shape ?? shapeFor(this.#membership.agents.size, pace.shapeMs);
    this.#trackers = new Trackers(options.self, this.#shape);
    this.#shared = {
      self: options.self,
      membership: () => this.#membership,
      health: this.#health,
      caution: new Caution(),
      pace,
      arrivals: new Arrivals(),
      soundings: new Soundings(),
      effects: options.effects,
      nowMs: options.nowMs,
      random: options.random,
      observe: options.observe ?? (() => undefined),
      load: () => this.#uploads,
      lookAhead: (nodes) => this.#lookAhead(nodes),
      over: (fetch, result) => this.#over(fetch, result),
    };
    this.#lines = new Lines(this.#shared);
  }

  get membership(): Membership {
    return this.#membership;
  }

  /**
   * Replaces the members; nodes that are gone are forgotten, and their children are given new
   * parents when they ask. Own entry optional.
   */
  setMembers(members: readonly Member[] | Membership): void {
    this.#membership = (members instanceof Membership ? members : new Membership(members)).with(
      this.#self,
    );
    const isMember = (node: NodeId): boolean => this.#membership.byNode.has(node);
    this.#health.prune(isMember, this.#options.nowMs());
    this.#trackers.forgetNodes(isMember);
    this.#lines.prune(isMember);
  }

  /**
   * The fetch of a shard: the current one (single-flight; `origin` is added to its origins), or a
   * new one, which begins before this returns. `onBehalf`: the request that caused this node to get
   * the shard, if one did. `place` becomes the fetch's place before the driver is called.
   * `distrust` passes over every owner, or every root too, because the blob that they described did
   * not have its digest. `holders`: nodes that offer the whole blob.
   */
  want(
    shard: ShardId,
    origin: OriginRef | null,
    onBehalf?: AskRequest,
    place?: unknown,
    distrust: Distrust = 'nobody',
    holders: readonly NodeId[] = [],
  ): ShardFetch {
    const known = this.#fetches.get(shard);
    if (known !== undefined) {
      if (origin !== null) known.offer(origin);
      if (onBehalf?.role === 'owner') known.accuse(onBehalf.node, onBehalf.exclude);
      return known;
    }
    const passed =
      distrust === 'nobody'
        ? []
        : [
            ...this.#membership.ownerRank(shard, this.#self.zone),
            ...(distrust === 'everybody' ? this.#membership.roots.top(shard) : []),
          ];
    const fetch = new ShardFetch(this.#shared, shard, {
      origin,
      hops: onBehalf === undefined ? 0 : onBehalf.hops + 1,
      passed,
      holders,
      isYielded: this.#trackers.peek(shard)?.isYielded === true,
    });
    if (onBehalf?.role === 'owner') fetch.accuse(onBehalf.node, onBehalf.exclude);
    fetch.place = place;
    this.#fetches.set(shard, fetch);
    fetch.begin();
    return fetch;
  }

  /** `node` vouched for bytes that were proven wrong: it is quarantined. */
  accuse(node: NodeId): void {
    const nowMs = this.#options.nowMs();
    this.#health.lied(node, nowMs);
    if (this.#health.lied(node, nowMs)) this.#shared.observe('lied', node);
  }

  /**
   * Tells by a shard's index whether this node is to pass the shard on to others, as the line and
   * the members are now; see Tracker.
   */
  innerShards(): (index: number) => boolean {
    if (this.#membership.agents.size <= 1) return () => false;
    const { fanout } = this.#shape();
    return fanout > 1 ? innerShards(this.#self.node, fanout) : () => false;
  }

  /** Shards whose uploads may share the uplink; see upload-turns.ts. */
  get uploadsAtOnce(): number {
    return this.#shared.pace.uploadsAtOnce;
  }

  /** Whether a reader asks for further shards before its first one comes; see Lines.isFast. */
  get readsAheadAtOnce(): boolean {
    return this.#lines.isFast || this.#membership.byNode.size === 1;
  }

  /** How many shards that are read ahead may come in one request (OriginAsk.alone). */
  get shardsTogether(): number {
    return this.#membership.byNode.size === 1 ? ORIGIN_REQUEST_SHARDS_MAX : 1;
  }

  /** The fetch under way, if any. */
  fetching(shard: ShardId): ShardFetch | undefined {
    return this.#fetches.get(shard);
  }

  /**
   * The shard is no longer wanted: the fetch ends as `cancelled` once its attempt has. A request
   * for the shard in the meantime starts another fetch.
   */
  cancel(shard: ShardId): void {
    const fetch = this.#fetches.get(shard);
    this.#fetches.delete(shard);
    fetch?.cancel();
  }

  /** Decides on another node's request. After `serve` the driver tells `sent` once. */
  ask(request: AskRequest): Verdict {
    const { shard, node, role } = request;
    const fetch = this.#fetches.get(shard);
    const isFirst =
      shard.rankedAs === 0 && this.#membership.owners.top(shard)[0] === this.#self.node;
    const turns = isFirst && !request.held && fetch?.turnToWhole() === true;
    const isCircle =
      node === this.#self.node ||
      (!turns && !request.held && fetch !== undefined && fetch.source === node);
    if (isCircle || request.hops > HOPS_MAX) return { kind: 'miss' };
    if (role === 'parent' && !request.held && fetch === undefined) return { kind: 'miss' };
    if (role === 'holder' && !request.held) return { kind: 'miss' };
    if (role === 'owner')
      return this.#yields(request, fetch) ? { kind: 'miss' } : this.#askOwner(request);
    if (this.#uploads >= UPLOADS_MAX) return { kind: 'busy', retryMs: OWNER_RETRY_MS };
    this.#uploads++;
    return { kind: 'serve' };
  }

  /** Whether the next owner takes over, for a much faster node; only a root may pay for that. */
  #yields(request: AskRequest, fetch: ShardFetch | undefined): boolean {
    const { shard, held, hops } = request;
    if (held || this.#membership.roots.size === 0) return false;
    const place = this.#membership.ownerRank(shard, this.#self.zone).indexOf(this.#self.node);
    const isFaster = place < YIELD_OWNERS_MAX && this.#lines.isMuchFaster(request);
    if (fetch !== undefined) return fetch.askedAsOwner(isFaster);
    const tracker = this.#trackers.take(shard, this.#options.nowMs());
    return (tracker.isYielded ||= isFaster && hops + 2 <= HOPS_MAX);
  }

  #askOwner(request: AskRequest): Verdict {
    const { shard, node, zone, exclude, load, parentFailed } = request;
    const nowMs = this.#options.nowMs();
    const tracker = this.#trackers.take(shard, nowMs);
    const verdict = tracker.ask(
      { node, zone, load, exclude, speed: this.#lines.speedOf(request), parentFailed },
      (candidate) => this.#health.good(candidate, nowMs),
      nowMs,
    );
    if (verdict.kind === 'serve') this.#uploads++;
    if (verdict.kind !== 'redirect') return verdict;
    return {
      kind: 'redirect',
      parents: verdict.parents,
      checksum: tracker.facts?.checksum ?? null,
      totalBytes: tracker.facts?.totalBytes ?? null,
    };
  }

  /** Sending to `node` (after a `serve`) is over; `whole`: to the shard's last byte. */
  sent(shard: ShardId, node: NodeId, whole: boolean): void {
    this.#uploads = Math.max(0, this.#uploads - 1);
    this.#trackers.peek(shard)?.sent(node, whole);
  }

  /**
   * Records the report in a child's `rpc:stat`. The answer comes from the shard itself, else from
   * `factsOf`.
   */
  report(shard: ShardId, node: NodeId, parent: NodeId | null, report: Report): void {
    if (report === 'none') return;
    this.#trackers
      .take(shard, this.#options.nowMs())
      .report(
        node,
        this.#membership.byNode.get(node)?.zone ?? null,
        parent === this.#self.node ? null : parent,
        report,
      );
  }

  /** What this node knows of a shard that it tracks, even if the shard itself is no longer here. */
  factsOf(shard: ShardId): ShardFacts | undefined {
    return this.#trackers.peek(shard)?.facts ?? undefined;
  }

  /** How often `tick` is to be called now, while there are fetches. */
  get tickMs(): number {
    return this.#shared.pace.tickMs;
  }

  /** To be called every `tickMs` while there are fetches, and at least once a second. */
  tick(): void {
    for (const fetch of this.#fetches.values()) fetch.tick();
    if (this.#fetches.size === 0) this.#lines.tick();
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#soundedMs >= SOUNDING_LOOK_MS) this.#sound(nowMs);
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    this.#trackers.forgetBefore(nowMs - TRACKER_IDLE_MS);
    for (const node of this.#health.release(nowMs)) this.#shared.observe('released', node);
    this.#health.prune((node) => this.#membership.byNode.has(node), nowMs);
  }

  /** Asks the nodes that hold requests, and say nothing, whether they are there. */
  #sound(nowMs: number): void {
    this.#soundedMs = nowMs;
    const { soundings, pace, effects } = this.#shared;
    const holding: NodeId[] = [];
    for (const { source } of this.#fetches.values()) if (source !== null) holding.push(source);
    for (const node of soundings.due(holding, pace.soundingMs, nowMs))
      effects.sound(node, pace.soundingWaitMs, (isThere) => this.#sounded(node, isThere));
    if (this.#fetches.size === 0) return;
    for (const node of this.#health.toSound(nowMs, SOUNDING_LOOK_MS))
      effects.sound(node, pace.soundingWaitMs, (isThere) => {
        if (isThere) this.#health.alive(node);
        else this.#health.failed(node, this.#options.nowMs());
      });
  }

  /** Asks nodes whether they are there, of which nothing was heard lately. */
  #lookAhead(nodes: readonly NodeId[]): void {
    const { soundings, pace, effects } = this.#shared;
    for (const node of soundings.unheard(nodes, this.#options.nowMs()))
      effects.sound(node, pace.soundingWaitMs, (isThere) => {
        if (soundings.aheadOver(node, isThere)) this.#gone(node);
      });
  }

  #sounded(node: NodeId, isThere: boolean): void {
    if (this.#shared.soundings.over(node, isThere, this.#options.nowMs())) this.#gone(node);
  }

  #gone(node: NodeId): void {
    const nowMs = this.#options.nowMs();
    this.#health.failed(node, nowMs);
    this.#shared.observe('stalled', node);
    for (const fetch of [...this.#fetches.values()]) fetch.lost(node);
  }

  /** Whether shards are being fetched. */
  get isFetching(): boolean {
    return this.#fetches.size > 0;
  }

  /** Whether this node is the acting owner of a shard, as it sees it. */
  isOwner(shard: ShardId): boolean {
    const [self, nowMs] = [this.#self.node, this.#options.nowMs()];
    const rank = this.#membership.ownerRank(shard, this.#self.zone);
    const acting = rank.find((node) => node === self || this.#health.usable(node, nowMs));
    return acting === undefined || acting === self;
  }

  /** Every other member and its condition. */
  peers(): PeerStatus[] {
    const nowMs = this.#options.nowMs();
    return [...this.#membership.byNode.values()]
      .filter(({ node }) => node !== this.#self.node)
      .map((member) => ({ ...member, ...this.#health.detail(member.node, nowMs) }));
  }

  /** Figures for status and metrics; walks the members and the trees, so once a second at most. */
  snapshot(): SwarmSnapshot {
    return {
      peers: this.peers(),
      fetches: this.#fetches.size,
      trees: this.#trackers.size,
      uploads: this.#uploads,
      depthMax: this.#trackers.depthMax(),
      quarantines: this.#health.quarantines,
      lineMs: this.#shared.pace.lineMs,
    };
  }

  /**
   * Hops between `node`, in the tree this node keeps for a shard, and one that has the shard whole;
   * null when it is not in it.
   */
  depthOf(shard: ShardId, node: NodeId): number | null {
    return this.#trackers.peek(shard)?.depthOf(node) ?? null;
  }

  /** Edges from this node to the deepest node of the deepest tree it keeps. */
  depthMax(): number {
    return this.#trackers.depthMax();
  }

  /** The trees this node keeps for a blob, at most `edgesMax` edges. */
  trees(key: string, edgesMax: number): TreeEdge[] {
    return this.#trackers.edges(key, edgesMax);
  }

  /** The part of a shard's tree that this node keeps, at most `edgesMax` edges. */
  tree(shard: ShardId, edgesMax: number): TreeEdge[] {
    return this.#trackers.peek(shard)?.edges(edgesMax) ?? [];
  }

  /** Keys of the blobs with trees here. */
  trackedBlobs(): string[] {
    return this.#trackers.blobs();
  }

  #over(fetch: Fetch, result: FetchResult): void {
    if (this.#fetches.get(fetch.shard) === fetch) this.#fetches.delete(fetch.shard);
    const tracker = this.#trackers.peek(fetch.shard);
    if (tracker !== undefined && result.kind === 'done') {
      const { totalBytes, lengthBytes, checksum } = result;
      tracker.facts = { totalBytes, lengthBytes, checksum };
    }
    this.#options.effects.finished(fetch, result);
  }
}
