import type { Clock, Timer } from '../../clock.ts';
import type { Membership } from '../../cluster/membership.ts';
import type { Envelope } from '../../wire/envelope.ts';
import type { Arena } from '../../io/arena.ts';
import type { Doorbells } from '../../io/doorbell.ts';
import { SWARM_IDLE_TICK_MS } from '../limits.ts';
import { MEMBERS_LOGGED_MAX } from './limits.ts';
import { Swarm } from '../../swarm/swarm.ts';
import type { Member, ShardId } from '../../swarm/types.ts';
import type { ProbeJob, ProbeResult } from '../../workers/pool.ts';
import type { OriginTarget } from '../../origin-target.ts';
import type { BlobFacts } from '../shards/blob-facts.ts';
import type { FillWithHolders, FetchOptions } from '../shards/resident.ts';
import type { Vouching } from '../../registry/vouching.ts';
import type { Observation } from '../watch/observation.ts';
import type { Pools } from '../threads/pools.ts';
import { NodeEffects, type FetchJob } from './node-effects.ts';
import { traced } from './traced-fetch.ts';
import { refOf, refsOf } from './target-ref.ts';
import { PeerStandings } from './standings.ts';
import { Suspicion } from './suspicion.ts';
import { Transfers } from './transfers.ts';

interface DriverParts {
  self: string;
  mode: 'agent' | 'root';
  arena: Arena;
  doorbells: Doorbells;
  pools: Pools;
  facts: BlobFacts;
  vouching: Vouching;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  envelope: Envelope;
  observation: Observation;
  /** A node that offered a blob does not have it. */
  missed(key: string, node: string): void;
  /** The members have changed. */
  membersChanged(): void;
}

/**
 * Runs the swarm core (lib/swarm) of a node: gives it clock and members, and starts its fetches.
 * NodeEffects executes its decisions.
 */
export class SwarmDriver {
  readonly #parts: DriverParts;
  readonly #self: Member;
  readonly #swarm: Swarm;
  readonly #transfers: Transfers;
  readonly #suspicion: Suspicion;
  readonly #standings: PeerStandings;
  #membership: Membership | null = null;
  #ticker: Timer | null = null;
  #tickMs = SWARM_IDLE_TICK_MS;

  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#self = { node: parts.self, role: parts.mode, zone: null };
    this.#transfers = new Transfers(parts);
    const { meter, log } = parts.observation;
    this.#standings = new PeerStandings((node, error) =>
      parts.observation.journal.noted(
        { peer: node, code: error.code },
        `${node} does not accept this node: ${error.message}`,
      ),
    );
    this.#suspicion = new Suspicion((node) => this.#swarm.accuse(node));
    this.#swarm = new Swarm({
      self: this.#self,
      nowMs: () => parts.clock.nowMs(),
      random: parts.random,
      effects: new NodeEffects({
        ...parts,
        self: this.#self,
        transfers: this.#transfers,
        standings: this.#standings,
        suspicion: this.#suspicion,
        isFirstFor: (key) => this.#isFirstFor(key),
      }),
      observe: (event, node) => {
        if (event === 'lied' || event === 'corrupt') meter.count('integrity.shard');
        if (event === 'lied') {
          meter.count('penalty.quarantine');
          log.warn(
            { peer: node, code: 'CHECKSUM_MISMATCH' },
            `${node} is quarantined: it sent wrong bytes or a wrong checksum`,
          );
        }
        if (event === 'released')
          log.info({ peer: node }, `${node} is out of quarantine: it is asked again`);
        if (event === 'stalled') meter.count('transfer.peer.stalled');
        if (event === 'stalled' || event === 'resumed' || event === 'slow')
          meter.count('penalty.cooldown');
        if (event !== 'redirected' && event !== 'owner-changed')
          log.debug({ peer: node ?? undefined }, `swarm: ${event}`);
      },
    });
    this.#startTicker();
  }

  #startTicker(): void {
    this.#ticker = this.#parts.clock.after(this.#tickMs, () => {
      if (this.#swarm.isFetching) this.#tickMs = this.#swarm.tickMs;
      this.#startTicker();
      this.#swarm.tick();
      if (!this.#swarm.isFetching) this.#tickEvery(SWARM_IDLE_TICK_MS);
    });
  }

  #tickEvery(intervalMs: number): void {
    if (intervalMs === this.#tickMs) return;
    this.#tickMs = intervalMs;
    this.#ticker?.cancel();
    this.#startTicker();
  }

  /** Which nodes accept requests of this one. */
  get standings(): PeerStandings {
    return this.#standings;
  }

  /** For how long a read has waited for a turn at the origin; see OriginQueue. */
  get originStalledMs(): number {
    return this.#transfers.originStalledMs;
  }

  /** The swarm core, for the desks that answer other nodes and for status pages. */
  get core(): Swarm {
    return this.#swarm;
  }

  /** Starts to watch the members. */
  async join(membership: Membership): Promise<void> {
    const { observation } = this.#parts;
    this.#membership = membership;
    let before: ReadonlySet<string> = new Set();
    await membership.start((view) => {
      const members: Member[] = [
        ...view.agents.map((member) => ({ ...member, role: 'agent' as const })),
        ...view.roots.map((member) => ({ ...member, role: 'root' as const })),
      ];
      this.#self.zone = members.find((member) => member.node === this.#self.node)?.zone ?? null;
      this.#standings.keep(members);
      const now = new Set(members.map(({ node }) => node));
      observation.log.info(
        {
          ...{ agents: view.agents.length, roots: view.roots.length },
          ...{ joined: named(now, before), left: named(before, now) },
        },
        'members of the swarm changed',
      );
      before = now;
      this.#swarm.setMembers(members);
      this.#parts.membersChanged();
    });
  }

  async leave(): Promise<void> {
    this.#ticker?.cancel();
    await this.#membership?.stop();
  }

  /** See FillFromSwarm; `holders`: nodes that offer the whole blob. */
  readonly fill: FillWithHolders = (resident, options, done, failed, holders = []) => {
    const distrust = this.#suspicion.distrust(resident.key);
    const job: FetchJob = { resident, options, ...traced(resident, options, done, failed) };
    const [newest, ...older] = refsOf(options.origin, this.#parts.facts.origins(resident.key));
    const shard: ShardId = { key: resident.key, index: resident.shard };
    if (options.onBehalf?.shard.rankedAs === 0 || this.#isWhole(resident.key, options))
      shard.rankedAs = 0;
    if (this.#tickMs === SWARM_IDLE_TICK_MS) this.#tickEvery(this.#swarm.tickMs);
    const fetch = this.#swarm.want(
      shard,
      newest ?? null,
      options.onBehalf ?? undefined,
      job,
      distrust,
      distrust === 'nobody' ? holders : [],
    );
    for (const other of older) fetch.offer(other);
    return {
      abandon: () => this.#swarm.cancel(shard),
      offer: (other) => {
        if (other.origin !== null) fetch.offer(refOf(other.origin));
      },
    };
  };

  /** See Transfers.probe. */
  probe(job: ProbeJob): Promise<ProbeResult> {
    return this.#transfers.probe(job);
  }

  /** Whether an origin serves this object only as a whole, as far as this node knows. */
  servesWhole(target: { url: string; upstreamHost: string }): boolean {
    return this.#transfers.support(target) === 'whole';
  }

  /**
   * The origin that another node names for a blob, or null if this node's configuration does not
   * vouch for it.
   */
  vouched(key: string, origin: OriginTarget | null): OriginTarget | null {
    if (origin === null || this.#parts.vouching.isSource(key, origin.url)) return origin;
    this.#parts.observation.meter.count('origin.unvouched');
    return null;
  }

  /** A whole blob has been compared with its digest. */
  verified(key: string, matches: boolean): void {
    if (matches) this.#suspicion.verified(key);
    else this.#suspicion.broken(key);
  }

  /** The first nodes in the rank of `name`; this node may be one of them. */
  ranked(name: string): readonly string[] {
    return this.#swarm.membership.owners.top({ key: name, index: 0 });
  }

  /** All members, with this node. */
  members(): readonly Member[] {
    return [...this.#swarm.membership.byNode.values()];
  }

  /** See Swarm.innerShards. */
  innerShards(): (index: number) => boolean {
    return this.#swarm.innerShards();
  }

  /** How many shards that are read ahead may come in one request. */
  get shardsTogether(): number {
    return this.#swarm.shardsTogether;
  }

  /** See Swarm.readsAheadAtOnce. */
  get readsAheadAtOnce(): boolean {
    return this.#swarm.readsAheadAtOnce;
  }

  isMember(node: string): boolean {
    return this.#swarm.membership.byNode.has(node);
  }

  /** Whether the blob's origin serves it only as a whole, as far as this node knows. */
  #isWhole(key: string, { origin }: FetchOptions): boolean {
    const origins = this.#parts.facts.origins(key);
    const all = origin === null || origins.includes(origin) ? origins : [origin, ...origins];
    return all.some((one) => this.#transfers.support(one) === 'whole');
  }

  /** Whether this node is the first owner, or the first root, of the blob's first shard. */
  #isFirstFor(key: string): boolean {
    const { owners, roots } = this.#swarm.membership;
    const ranking = roots.size > 0 ? roots : owners;
    return ranking.top({ key, index: 0 })[0] === this.#self.node;
  }
}

/** Those of `some` that are not among `others`; of many, the first. */
function named(some: ReadonlySet<string>, others: ReadonlySet<string>): string[] {
  const found = [...some].filter((node) => !others.has(node));
  const rest = found.length - MEMBERS_LOGGED_MAX;
  return rest > 0 ? [...found.slice(0, MEMBERS_LOGGED_MAX), `and ${rest} more`] : found;
}
