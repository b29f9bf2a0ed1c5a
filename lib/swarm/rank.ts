import {
  BLOB_OWNER_NODES_MAX,
  LONE_OWNER_CLIENTS_MAX,
  OWNER_CLIENTS,
  OWNERS_MAX,
  RANK_DEPTH,
  RANKS_MAX,
} from './limits.ts';
import type { Member, NodeId, ShardId } from './types.ts';

/** 32-bit FNV-1a of a string's UTF-16 units: cheap, and mixed further before use. */
export function hash32(text: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++)
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return mix32(hash);
}

/**
 * The finaliser of MurmurHash3 (Appleby, public domain): every input bit moves every output bit.
 */
export function mix32(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The index that the owner of the shard depends on where each shard has its own. */
function rankIndex({ index, rankedAs }: ShardId): number {
  return rankedAs ?? index;
}

/** 32 bits of the blob and an index in it, the same on every node. */
function hashOf({ key }: ShardId, index: number): number {
  return mix32(hash32(key) + Math.imul(index + 1, 0x9e37_79b1));
}

/**
 * Rendezvous hashing (Thaler and Ravishankar 1998): every node ranks the same names alike for a
 * shard, and a name that comes or goes moves only the shards it is first for.
 */
export class Ranking {
  readonly #nodes: readonly NodeId[];
  readonly #hashes: Uint32Array;
  readonly #depth: number;
  readonly #isByBlob: boolean;
  readonly #ranks = new Map<string, Map<number, readonly NodeId[]>>();
  #remembered = 0;

  /** `isByBlob`: all shards of a blob have the same rank. */
  constructor(nodes: readonly NodeId[], isByBlob = false) {
    this.#isByBlob = isByBlob;
    this.#nodes = nodes.toSorted();
    this.#hashes = Uint32Array.from(this.#nodes, hash32);
    this.#depth = Math.max(RANK_DEPTH, ownersOf(nodes.length));
  }

  get size(): number {
    return this.#nodes.length;
  }

  /**
   * The first nodes of a shard's rank, best first: `RANK_DEPTH`, or all its owners where they are
   * more.
   */
  top(shard: ShardId): readonly NodeId[] {
    if (this.#nodes.length <= 1) return this.#nodes;
    let ranks = this.#ranks.get(shard.key);
    const index = this.#isByBlob ? 0 : rankIndex(shard);
    const known = ranks?.get(index);
    if (known !== undefined) return known;
    if (this.#remembered >= RANKS_MAX) {
      this.#ranks.clear();
      this.#remembered = 0;
      ranks = undefined;
    }
    if (ranks === undefined) this.#ranks.set(shard.key, (ranks = new Map()));
    const rank = this.#rank(hashOf(shard, index));
    ranks.set(index, rank);
    this.#remembered++;
    return rank;
  }

  /** The nodes that keep a tree of the shard, its first owner first. */
  owning(shard: ShardId): readonly NodeId[] {
    return this.top(shard).slice(0, ownersOf(this.size));
  }

  /** One pass with a short sorted list; equal scores go by name, as the names are sorted. */
  #rank(seed: number): NodeId[] {
    const depth = this.#depth;
    const best: number[] = [];
    const scores: number[] = [];
    for (let at = 0; at < this.#nodes.length; at++) {
      const score = mix32(this.#hashes[at]! ^ seed);
      if (best.length === depth && score <= scores[depth - 1]!) continue;
      let place = best.length;
      while (place > 0 && scores[place - 1]! < score) place--;
      best.splice(place, 0, at);
      scores.splice(place, 0, score);
      if (best.length > depth) {
        best.pop();
        scores.pop();
      }
    }
    return best.map((at) => this.#nodes[at]!);
  }
}

/** How many nodes track a shard, each for a part of a swarm of so many. */
function ownersOf(nodes: number): number {
  return nodes <= LONE_OWNER_CLIENTS_MAX
    ? 1
    : Math.min(OWNERS_MAX, Math.ceil(nodes / OWNER_CLIENTS));
}

/**
 * Where in a shard's rank a node begins to look for its owner. The first node owns the shard, but
 * one tracker can answer only so many. In a large swarm the next nodes in rank keep trees of their
 * own, and get the shard from the first like any other node. Such an owner itself begins at the
 * first. So requests always go to better ranks and cannot form a circle, even between nodes that
 * disagree on how many owners there are.
 */
export function ownerPlace(
  shard: ShardId,
  node: NodeId,
  rank: readonly NodeId[],
  nodes: number,
): number {
  const owners = Math.min(rank.length, ownersOf(nodes));
  if (owners <= 1) return 0;
  const own = rank.indexOf(node);
  return own >= 0 && own < owners
    ? 0
    : mix32(hash32(node) ^ hashOf(shard, rankIndex(shard))) % owners;
}

/**
 * The members of the swarm at one time. Immutable, so that the nodes of the simulator can share one
 * and its ranks.
 */
export class Membership {
  readonly byNode: ReadonlyMap<NodeId, Member>;
  readonly agents: Ranking;
  readonly roots: Ranking;
  /** The nodes that can own shards: the agents, or the roots where there are no agents. */
  readonly owners: Ranking;
  /** The owners of each zone. */
  readonly #byZone = new Map<string, Ranking>();

  constructor(members: readonly Member[]) {
    this.byNode = new Map(members.map((member) => [member.node, member]));
    const named = (role: Member['role']): NodeId[] =>
      [...this.byNode.values()]
        .filter((member) => member.role === role)
        .map((member) => member.node);
    const agents = named('agent');
    const owning = agents.length > 0 ? 'agent' : 'root';
    const zones = Map.groupBy(
      [...this.byNode.values()].filter(({ role, zone }) => zone !== null && role === owning),
      ({ zone }) => zone!,
    );
    const isZoned = [...zones.values()].some((ofZone) => ofZone.length < agents.length);
    this.agents = new Ranking(agents, agents.length <= BLOB_OWNER_NODES_MAX && !isZoned);
    this.roots = new Ranking(named('root'));
    this.owners = agents.length > 0 ? this.agents : this.roots;
    for (const [zone, ofZone] of zones)
      this.#byZone.set(
        zone,
        ofZone.length === this.owners.size
          ? this.owners
          : new Ranking(ofZone.map(({ node }) => node)),
      );
  }

  /**
   * Where a node of `zone` looks for a shard's owner: first in its own zone. That zone's owner
   * looks in the zone of the shard's root (among all, where that is not known). So a shard crosses
   * into each zone once, and no zone waits for the line of another. Asks go to a better rank of the
   * same ranking or on to the second ranking, so never in a circle.
   */
  ownersFor(shard: ShardId, zone: string | null): readonly Ranking[] {
    if (this.#byZone.size === 0) return [this.owners];
    const own = this.#ownersIn(zone);
    const root = this.roots.top(shard)[0];
    const home = this.#ownersIn(root === undefined ? null : this.byNode.get(root)!.zone);
    return home === own ? [own] : [own, home];
  }

  /** The nodes that `ownersFor` leads to, the first of each ranking in order. */
  ownerRank(shard: ShardId, zone: string | null): readonly NodeId[] {
    const [own, home] = this.ownersFor(shard, zone).map((ranking) => ranking.top(shard));
    return home === undefined ? own! : [...new Set([...own!, ...home])];
  }

  /** The nodes that keep a tree of the shard, in all zones. */
  owning(shard: ShardId): readonly NodeId[] {
    const rankings = [this.owners, ...this.#byZone.values()];
    const all = new Set(rankings.flatMap((ranking) => ranking.owning(shard)));
    return [...all].slice(0, OWNERS_MAX);
  }

  #ownersIn(zone: string | null): Ranking {
    return (zone === null ? undefined : this.#byZone.get(zone)) ?? this.owners;
  }

  /** The same with `member` in it. */
  with(member: Member): Membership {
    const known = this.byNode.get(member.node);
    if (known !== undefined && known.role === member.role) return this;
    return new Membership([...this.byNode.values(), member]);
  }
}
