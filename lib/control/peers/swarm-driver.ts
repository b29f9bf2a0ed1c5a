import type { Clock } from '../../clock.ts';
import type { Membership } from '../../cluster/membership.ts';
import { discover } from '../../cluster/discovery.ts';
import type { Envelope } from '../../wire/envelope.ts';
import type { Config } from '../../config/schema.ts';
import { ShoalError, type WireError } from '../../errors.ts';
import { SlotSource, type Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import { SWARM_IDLE_TICK_MS, SWARM_TICK_MS } from '../limits.ts';
import type { ShardFetch } from '../../swarm/fetch.ts';
import { Swarm } from '../../swarm/swarm.ts';
import type {
  AttemptResult,
  Fetch,
  FetchResult,
  Member,
  OriginAsk,
  PeerAsk,
  ShardId,
  StatAsk,
} from '../../swarm/types.ts';
import type { ProbeJob, ProbeResult } from '../../workers/pool.ts';
import type { OriginContext } from '../../wire/origin-context.ts';
import type { BlobFacts } from '../shards/blob-facts.ts';
import type { FillFromSwarm, FillWithHolders, Resident, Way } from '../shards/resident.ts';
import { isVouched } from '../../registry/blob-size.ts';
import type { Vouching } from '../../registry/vouching.ts';
import type { Observation } from '../watch/observation.ts';
import type { Pools } from '../threads/pools.ts';
import { originWay, originWays, type OriginWay } from './origin-way.ts';
import { PeerStandings } from './standings.ts';
import { Suspicion } from './suspicion.ts';
import { Transfers, type Filling } from './transfers.ts';

export interface DriverParts {
  self: string;
  mode: 'agent' | 'root';
  arena: Arena;
  doorbells: Doorbells;
  pools: Pools;
  facts: BlobFacts;
  vouching: Vouching;
  clock: Clock;
  envelope: Envelope;
  observation: Observation;
  /** A node that offered a blob does not have it. */
  missed(key: string, node: string): void;
  /** There are other members. */
  membersChanged(): void;
}

/** A fetch under way: what it fills and for whom. */
interface Job {
  resident: Resident;
  way: Way;
  done: Parameters<FillFromSwarm>[2];
  failed: Parameters<FillFromSwarm>[3];
  /** The attempt that may write to the slot; it settles always. */
  running: Promise<unknown> | null;
}

/** Carries out, with sockets and slots, what the swarm core (lib/swarm) decides. */
export class SwarmDriver {
  readonly #parts: DriverParts;
  readonly #self: Member;
  readonly #swarm: Swarm;
  readonly #transfers: Transfers;
  readonly #suspicion: Suspicion;
  readonly #standings: PeerStandings;
  #membership: Membership | null = null;
  #ticker: NodeJS.Timeout;
  #tickMs = SWARM_IDLE_TICK_MS;

  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#self = { node: parts.self, role: parts.mode, zone: null };
    this.#transfers = new Transfers(parts);
    const { meter, log } = parts.observation;
    this.#swarm = new Swarm({
      self: this.#self,
      nowMs: () => parts.clock.nowMs(),
      random: Math.random,
      effects: {
        ask: (fetch, attempt, ask) => void this.#ask(fetch, attempt, ask),
        origin: (fetch, attempt, ask) => void this.#origin(fetch, attempt, ask),
        stat: (fetch, attempt, ask) => void this.#stat(fetch, attempt, ask),
        abandon: (fetch, attempt) => this.#abandon(fetch, attempt),
        receivedBytes: (fetch) => this.#receivedBytes(fetch),
        finished: (fetch, result) => this.#finished(fetch, result),
      },
      observe: (event, node) => {
        if (event === 'lied' || event === 'corrupt') meter.count('integrity.shard');
        if (event === 'lied') {
          meter.count('penalty.quarantine');
          log.warn(
            { peer: node, code: 'CHECKSUM_MISMATCH' },
            `${node} is quarantined: it sent wrong bytes, or vouched for them`,
          );
        }
        if (event === 'stalled') meter.count('transfer.peer.stalled');
        if (event === 'stalled' || event === 'resumed' || event === 'slow')
          meter.count('penalty.cooldown');
        if (event !== 'redirected' && event !== 'owner-changed')
          log.debug({ peer: node ?? undefined }, `swarm: ${event}`);
      },
    });
    this.#standings = new PeerStandings((node, error) =>
      parts.observation.journal.noted(
        { peer: node, code: error.code },
        `${node} does not accept this node: ${error.message}`,
      ),
    );
    this.#suspicion = new Suspicion((node) => this.#swarm.accuse(node));
    this.#ticker = setInterval(() => this.#tick(), this.#tickMs);
  }

  #tick(): void {
    this.#swarm.tick();
    if (!this.#swarm.isFetching) this.#tickEvery(SWARM_IDLE_TICK_MS);
  }

  #tickEvery(intervalMs: number): void {
    if (intervalMs === this.#tickMs) return;
    this.#tickMs = intervalMs;
    clearInterval(this.#ticker);
    this.#ticker = setInterval(() => this.#tick(), intervalMs);
  }

  /** Which nodes accept requests of this one. */
  get standings(): PeerStandings {
    return this.#standings;
  }

  /** The decisions, for the desks that answer other nodes and for views of the swarm. */
  get core(): Swarm {
    return this.#swarm;
  }

  /**
   * Begins to watch who is there. Throws CONFIG_INVALID when the discovery asked for is not
   * possible here.
   */
  async join(config: Config['P2PConfig']): Promise<void> {
    const { clock, observation } = this.#parts;
    const onError = (error: Error): void =>
      observation.log.warn(
        { err: error },
        'membership refresh failed; keeping the last known members',
      );
    this.#membership = await discover(config, {
      clock,
      random: Math.random,
      env: process.env,
      onError,
    });
    await this.#membership.start((view) => {
      const members: Member[] = [
        ...view.agents.map((member) => ({ ...member, role: 'agent' as const })),
        ...view.roots.map((member) => ({ ...member, role: 'root' as const })),
      ];
      this.#self.zone = members.find((member) => member.node === this.#self.node)?.zone ?? null;
      this.#standings.keep(members);
      observation.log.info(
        { agents: view.agents.length, roots: view.roots.length },
        'members of the swarm changed',
      );
      this.#swarm.setMembers(members);
      this.#parts.membersChanged();
    });
  }

  async leave(): Promise<void> {
    clearInterval(this.#ticker);
    await this.#membership?.stop();
  }

  /** See FillFromSwarm; `holders`: nodes that offer the whole blob. */
  readonly fill: FillWithHolders = (resident, way, done, failed, holders = []) => {
    const distrust = this.#suspicion.distrust(resident.key);
    const job: Job = { resident, way, done, failed, running: null };
    const [newest, ...older] = originWays(way.origin, this.#parts.facts.origins(resident.key));
    const shard: ShardId = { key: resident.key, index: resident.shard };
    if (way.onBehalf?.shard.rankedAs === 0 || this.#isWhole(resident.key, way)) shard.rankedAs = 0;
    this.#tickEvery(SWARM_TICK_MS);
    const fetch = this.#swarm.want(
      shard,
      newest ?? null,
      way.onBehalf ?? undefined,
      job,
      distrust,
      distrust === 'nobody' ? holders : [],
    );
    for (const other of older) fetch.offer(other);
    return {
      abandon: () => this.#swarm.cancel(shard),
      offer: (other) => {
        if (other.origin !== null) fetch.offer(originWay(other.origin));
      },
    };
  };

  /** See Transfers.probe. */
  probe(job: ProbeJob): Promise<ProbeResult> {
    return this.#transfers.probe(job);
  }

  /**
   * The origin that another node names for a blob, or null. Only this node decides what may be
   * stored under a digest.
   */
  vouched(key: string, origin: OriginContext | null): OriginContext | null {
    if (origin === null || this.#parts.vouching.isSource(key, origin.url)) return origin;
    this.#parts.observation.meter.count('origin.unvouched');
    return null;
  }

  /** A blob as a whole has been held against its digest. */
  verified(key: string, held: boolean): void {
    if (held) this.#suspicion.held(key);
    else this.#suspicion.broken(key);
  }

  /** The first nodes of the rank of `name`, this one among them where it belongs. */
  ranked(name: string): readonly string[] {
    return this.#swarm.membership.owners.top({ key: name, index: 0 });
  }

  /** Everybody, this node included. */
  members(): readonly Member[] {
    return [...this.#swarm.membership.byNode.values()];
  }

  /** Whether this node is to pass shards of this index on to others. */
  isInner(index: number): boolean {
    return this.#swarm.isInner(index);
  }

  /** See Swarm. */
  get windowShards(): number {
    return this.#swarm.windowShards;
  }

  /** See Swarm. */
  get shardsTogether(): number {
    return this.#swarm.shardsTogether;
  }

  isMember(node: string): boolean {
    return this.#swarm.membership.byNode.has(node);
  }

  /** Whether the blob's origin serves it only as a whole, as far as this node knows. */
  #isWhole(key: string, { origin }: Way): boolean {
    const origins = this.#parts.facts.origins(key);
    return [...(origin === null ? [] : [origin]), ...origins].some(
      (one) => this.#transfers.support(one) === 'whole',
    );
  }

  /** Whether this node is the first owner, or the first root, of the blob's first shard. */
  #isFirstFor(key: string): boolean {
    const { owners, roots } = this.#swarm.membership;
    const ranking = roots.size > 0 ? roots : owners;
    return ranking.top({ key, index: 0 })[0] === this.#self.node;
  }

  #job(fetch: Fetch): Job {
    return fetch.place as Job;
  }

  #filling(fetch: Fetch, attempt: number, fromBytes: number): Filling {
    const { arena, facts } = this.#parts;
    const { resident, way } = this.#job(fetch);
    const size = facts.sizeOf(resident.key);
    if (fromBytes < arena.released(resident.slot)) this.#startOver(resident);
    // Bytes that are to be read anew must not count as here meanwhile.
    if (fromBytes < arena.received(resident.slot)) arena.setReceived(resident.slot, fromBytes);
    // What an earlier attempt brought of a slice is vouched for no longer than nothing else writes
    // there.
    arena.setAhead(resident.slot, 0, 0);
    return {
      slot: resident.slot,
      attempt,
      shard: resident.shard,
      fromBytes,
      // A size that only another node mentioned must not make right answers look wrong.
      totalBytes: isVouched(size) ? size.bytes : null,
      digest: way.digest,
    };
  }

  /**
   * Bytes clients have seen turned out wrong: their answers are cut off, so that nobody takes them
   * for whole.
   */
  #startOver(resident: Resident): void {
    this.#parts.arena.setReleased(resident.slot, 0);
    const error = new ShoalError(
      'CHECKSUM_MISMATCH',
      'a shard did not have the checksum its owner told',
    );
    for (const interest of [...resident.interests]) interest.failed(error);
    resident.interests.clear();
  }

  async #ask(fetch: Fetch, attempt: number, ask: PeerAsk): Promise<void> {
    const { arena, self, observation } = this.#parts;
    const job = this.#job(fetch);
    const { way, resident } = job;
    const filling = this.#filling(fetch, attempt, ask.fromBytes);
    arena.setSource(resident.slot, SlotSource.peer);
    arena.setOwned(resident.slot, ask.trusted);
    const { key, index } = fetch.shard;
    const startMs = this.#parts.clock.nowMs();
    const running = this.#transfers.peer(
      ask.node,
      {
        key,
        shard: index,
        fromBytes: ask.fromBytes,
        node: self,
        zone: this.#self.zone,
        role: ask.as,
        exclude: ask.exclude,
        hops: ask.hops,
        load: ask.load,
        holdMs: ask.holdMs,
        shardMs: ask.shardMs,
        ...(fetch.shard.rankedAs === 0 ? { whole: true as const } : {}),
      },
      filling,
      { origin: (ask.context as OriginWay | null)?.origin ?? null, requestId: way.requestId },
    );
    job.running = running;
    const result = await running;
    job.running = null;
    observation.journal.transferred(way, fetch.shard, ask.node, startMs, result);
    this.#standingOf(ask.node, result);
    if (ask.as === 'holder' && result.kind === 'miss') this.#parts.missed(key, ask.node);
    if (result.kind === 'data') {
      this.#suspicion.came(key, index, ask.node, result.checksum);
      observation.meter.count('transfer.peer.done');
      if (ask.fromBytes > 0) observation.meter.count('transfer.peer.resumed');
      observation.telemetry.peerRates.add(ask.node, result.lengthBytes - ask.fromBytes);
    } else if (result.kind === 'failed') observation.meter.count('transfer.peer.failed');
    this.#settle(fetch, attempt, result);
  }

  #standingOf(node: string, result: { kind: string; error?: WireError }): void {
    if (result.kind === 'failed') this.#standings.failed(node, result.error!);
    else this.#standings.answered(node);
  }

  async #origin(fetch: Fetch, attempt: number, ask: OriginAsk): Promise<void> {
    const { arena, observation } = this.#parts;
    const filling = this.#filling(fetch, attempt, ask.fromBytes);
    arena.setSource(filling.slot, SlotSource.origin);
    arena.setOwned(filling.slot, true);
    const job = this.#job(fetch);
    const startMs = this.#parts.clock.nowMs();
    // Only the node that all others ask for this blob may read all of it.
    const mayStream = fetch.shard.rankedAs === 0 || this.#isFirstFor(fetch.shard.key);
    const running = this.#transfers.origin((ask.context as OriginWay).origin, filling, {
      sliceBytes: job.way.sliceBytes,
      alone: ask.alone,
      mayStream,
    });
    job.running = running;
    const result = await running;
    job.running = null;
    observation.journal.transferred(job.way, fetch.shard, null, startMs, result);
    observation.meter.count(
      result.kind === 'data' ? 'transfer.origin.done' : 'transfer.origin.failed',
    );
    if (result.kind === 'data' && ask.fromBytes > 0)
      observation.meter.count('transfer.origin.resumed');
    // The next step of the fetch goes to the node that reads the whole blob.
    if (result.kind === 'failed' && result.wholeOnly === true) fetch.shard.rankedAs = 0;
    if (result.kind === 'data')
      this.#suspicion.came(fetch.shard.key, fetch.shard.index, null, result.checksum);
    if (result.kind === 'data') this.#settle(fetch, attempt, { ...result, word: null });
    else if (result.error.code === 'ORIGIN_REFUSED') {
      const { status } = result.error;
      if (status === 401 || status === 403)
        this.#parts.facts.dropOrigin(fetch.shard.key, (ask.context as OriginWay).origin);
      this.#settle(fetch, attempt, { kind: 'refused', error: result.error });
    } else this.#settle(fetch, attempt, result);
  }

  async #stat(fetch: Fetch, attempt: number, ask: StatAsk): Promise<void> {
    const { key, index } = fetch.shard;
    const result = await this.#transfers.stat(ask.node, {
      key,
      shard: index,
      node: this.#self.node,
      zone: this.#self.zone,
      parent: ask.parent,
      report: ask.report,
    });
    this.#standingOf(ask.node, result);
    (fetch as ShardFetch).settleStat(attempt, result);
  }

  #settle(fetch: Fetch, attempt: number, result: AttemptResult): void {
    if (result.kind === 'redirect' && result.totalBytes !== null)
      this.#parts.facts.sized(fetch.shard.key, result.totalBytes, 'heard');
    (fetch as ShardFetch).settle(attempt, result);
  }

  #abandon(fetch: Fetch, attempt: number): void {
    this.#parts.arena.cancel(this.#job(fetch).resident.slot, attempt);
  }

  #receivedBytes(fetch: Fetch): number {
    return this.#parts.arena.received(this.#job(fetch).resident.slot);
  }

  /** The fetch is over; the slot is given back only once nothing writes to it any more. */
  #finished(fetch: Fetch, result: FetchResult): void {
    const job = this.#job(fetch);
    if (result.kind === 'done') {
      job.done(result);
      return;
    }
    const error =
      result.kind === 'cancelled'
        ? new ShoalError('CANCELLED', 'nobody wants the shard any more')
        : ShoalError.fromWire(result.error);
    if (job.running === null) job.failed(error);
    else void job.running.then(() => job.failed(error));
  }
}
