import type { FigureName } from './ablation.ts';

/**
 * A special rule of lib/swarm: a text of one of its files, the text without the rule, and a pull
 * that is worse without it. docs/SWARM.md has the figures; `npm run sim -- --ablate all` prints
 * them.
 */
export interface Rule {
  name: string;
  /** What the rule says. */
  says: string;
  file: string;
  from: string;
  to: string;
  /** Options of `npm run sim`. */
  pull: string;
  /** The figure that gets worse. */
  figure: FigureName;
}

export const RULES: readonly Rule[] = [
  {
    name: 'chains',
    says: 'few nodes and slow lines: a shard goes along chains, not trees',
    file: 'tracker.ts',
    from: 'if (nodes > FEW_NODES_MAX && !isLineSlow) return treeShape;',
    to: 'return treeShape;',
    pull: '--nodes 8 --image 64MB --link 100Mbit --roots 1',
    figure: 'p95',
  },
  {
    name: 'few-chains',
    says: 'chains also on fast lines, if there are at most 64 agents',
    file: 'limits.ts',
    from: 'FEW_NODES_MAX = 64;',
    to: 'FEW_NODES_MAX = 0;',
    pull: '--nodes 24 --image 200MB --link 1Gbit',
    figure: 'p95',
  },
  {
    name: 'unknown-chains',
    says: 'chains while the line is unknown, up to 256 agents',
    file: 'limits.ts',
    from: 'UNKNOWN_LINE_CHAIN_NODES_MAX = 256;',
    to: 'UNKNOWN_LINE_CHAIN_NODES_MAX = 0;',
    pull: '--nodes 200 --image 100MB',
    figure: 'p95',
  },
  {
    name: 'zone-chains',
    says: 'each zone has a chain of its own',
    file: 'tracker.ts',
    from: 'if (heads < (holder.zone === owner.zone ? owner.slots : 1)) {',
    to: 'if (holder.zone === owner.zone && heads < owner.slots) {',
    pull: '--nodes 64 --image 64MB --link 100Mbit --zones 3',
    figure: 'p95',
  },
  {
    name: 'upload-turns',
    says: 'an uplink sends the shards that are needed first, not all at once',
    file: 'upload-turns.ts',
    from: 'if (waiting[at]!.order < first + atOnce) return at;',
    to: 'return at;',
    pull: '--nodes 64 --image 100MB',
    figure: 'p95',
  },
  {
    name: 'disjoint',
    says: 'each node is an inner node in one of six trees, a leaf in the others',
    file: 'tracker.ts',
    from: 'return (hash32(node) + index) % fanout === 0;',
    to: 'return true;',
    pull: '--nodes 300 --image 64MB',
    figure: 'p95',
  },
  {
    name: 'inner-lead',
    says: 'an inner node asks for its shards 24 shards earlier',
    file: 'limits.ts',
    from: 'INNER_LEAD_SHARDS = 24;',
    to: 'INNER_LEAD_SHARDS = 0;',
    pull: '--nodes 300 --image 64MB',
    figure: 'p95',
  },
  {
    name: 'doubts',
    says: 'a parent that two children left gets no more children in the tree',
    file: 'limits.ts',
    from: 'HOLDER_DOUBTS_MAX = 2;',
    to: 'HOLDER_DOUBTS_MAX = 1e9;',
    pull: '--nodes 100 --image 100MB --fail kill=10%,slow=10%',
    figure: 'p95',
  },
  {
    name: 'many-owners',
    says: 'beyond 1,000 nodes, 250 nodes share a tracker',
    file: 'limits.ts',
    from: 'LONE_OWNER_CLIENTS_MAX = 1_000;',
    to: 'LONE_OWNER_CLIENTS_MAX = 1e9;',
    pull: '--nodes 1500 --image 40MB',
    figure: 'p95',
  },
  {
    name: 'overtakers',
    says: 'a parent is late when enough later shards have come',
    file: 'lateness.ts',
    from: 'pace.overtakers(this.#index, sinceMs) >= Math',
    to: '-1 >= Math',
    pull: '--nodes 100 --image 100MB --fail kill=10%,slow=10%',
    figure: 'p95',
  },
  {
    name: 'owners-fault',
    says: 'an owner is passed over if its tree is late and it has no shard itself',
    file: 'lateness.ts',
    from: 'if (owner !== this.#lateUnder || !this',
    to: 'return false; if (owner !== this.#lateUnder || !this',
    pull: '--nodes 100 --image 100MB --fail kill=10%,slow=10%',
    figure: 'p95',
  },
  {
    name: 'flowed',
    says: 'nobody is late while no shards come at all',
    file: 'pace.ts',
    from: 'return this.#doneMs[this.#samples % LATE_FLOW_MIN]! > sinceMs;',
    to: 'return true;',
    pull: '--nodes 60 --image 100MB --roots 1 --fail rootStall=100%',
    figure: 'p95',
  },
  {
    name: 'more-patient',
    says: 'a fetch is more patient each time it has left a node',
    file: 'lateness.ts',
    from: "2 ** (role === 'parent' ? this.#parentsLeft : this.#ownersLeft);",
    to: '1;',
    pull: '--nodes 60 --image 100MB --roots 1 --fail rootStall=100%',
    figure: 'p95',
  },
  {
    name: 'last-forgiven',
    says: 'the first silence of a node behind which there is only the origin is forgiven',
    file: 'fetch.ts',
    from: "const mayBe = sent || (role !== 'parent' && sources.isLast(node));",
    to: 'const mayBe = sent;',
    pull: '--nodes 60 --image 100MB --roots 1 --fail rootStall=100%',
    figure: 'p95',
  },
  {
    name: 'accusers',
    says: 'without roots, three nodes must pass over an owner before the next replaces it',
    file: 'limits.ts',
    from: 'ACCUSERS_MIN = 3;',
    to: 'ACCUSERS_MIN = 1;',
    pull: '--nodes 60 --image 200MB --roots 0 --origin-link 500Mbit --fail freeze=10%',
    figure: 'origin',
  },
  {
    name: 'patient-owners',
    says: 'without roots, an owner is given more time',
    file: 'pace.ts',
    from: 'LATE_OWNER_FACTOR * this.#usualMs) : Infinity;',
    to: 'LATE_FACTOR * this.#usualMs) : Infinity;',
    pull: '--nodes 60 --image 200MB --roots 0 --origin-link 500Mbit --fail freeze=10%',
    figure: 'p95',
  },
  {
    name: 'wrong-trees',
    says: 'a shard wrong three times, from two trees, is read from a root',
    file: 'limits.ts',
    from: 'WRONG_TREES_MAX = 2;',
    to: 'WRONG_TREES_MAX = 1e9;',
    pull: '--nodes 100 --image 64MB --fail lie=20% --seed 2',
    figure: 'failed',
  },
  {
    name: 'best-stretch',
    says: 'the line is what the best stretch brought, not the last one',
    file: 'pace.ts',
    from: 'Math.max(bytesPerMs, LINE_DECAY * this.#lineBytesPerMs)',
    to: 'bytesPerMs',
    pull: '--nodes 24 --image 64MB --link 100Mbit --fail freeze=10%',
    figure: 'p95',
  },
  {
    name: 'hold',
    says: 'a request is held until a whole window has come',
    file: 'pace.ts',
    from: 'return Math.min(HOLD_MS_MAX, Math.max(PEER_HOLD_MS, this.windowMs));',
    to: 'return PEER_HOLD_MS;',
    pull: '--nodes 64 --image 64MB --link 100Mbit',
    figure: 'messages',
  },
  {
    name: 'request-shards',
    says: 'consecutive shards come in one request to the origin',
    file: 'limits.ts',
    from: 'ORIGIN_REQUEST_SHARDS_MAX = 8;',
    to: 'ORIGIN_REQUEST_SHARDS_MAX = 1;',
    pull: '--nodes 8 --image 64MB --link 100Mbit --roots 1',
    figure: 'requests',
  },
  {
    name: 'lead',
    says: 'a node asks ahead for what comes until the first byte',
    file: 'limits.ts',
    from: 'ORIGIN_LEAD = 2;',
    to: 'ORIGIN_LEAD = 0;',
    pull: '--nodes 1 --image 200MB --roots 0',
    figure: 'p95',
  },
  {
    name: 'gather',
    says: 'requests of other nodes are gathered for 2 ms',
    file: 'limits.ts',
    from: 'ORIGIN_GATHER_MS = 2;',
    to: 'ORIGIN_GATHER_MS = 0;',
    pull: '--nodes 8 --image 64MB --roots 1',
    figure: 'p95',
  },
  {
    name: 'first-first',
    says: 'the first shard of a blob goes first to the origin',
    file: 'origin-queue.ts',
    from: 'this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, want);',
    to: 'this.#waiting.push(want);',
    pull: '--nodes 8 --image 64MB --roots 1',
    figure: 'p95',
  },
];
